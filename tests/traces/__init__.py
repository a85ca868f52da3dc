"""Do traces show what happens, say nothing they must not, and harm nobody?"""
