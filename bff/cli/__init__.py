"""What do the commands for the person on call do?"""
