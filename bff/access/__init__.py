"""May this request use the session that its cookie names?"""
