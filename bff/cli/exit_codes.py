"""What do the exit codes of the commands mean?"""

from __future__ import annotations

OK = 0
COMMAND_FAILED = 1
"""Redis or the port can't be had, or no such session."""
REVOCATION_OVERDUE = 1
"""`revocations --older-than`: an entry of the outbox is older."""
REQUEST_REFUSED = 1
"""`routes METHOD TARGET`: the request would not be forwarded."""
NOT_DELIVERED = 1
"""`signals verify`: the event that was asked for has not arrived in time."""
CHECK_FAILED = 1
"""`check`: a row has failed, wrong settings among them."""
WRONG_USAGE = 2
"""Arguments or settings are wrong; argparse exits with the same."""
