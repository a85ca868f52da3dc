"""What does a WSGI server load? `wsgi:app`."""

from bff.app.factory import create_app
from bff.cli.logging_config import configure_ours, log_config_error
from bff.core.errors import ConfigError

configure_ours()
try:
    app = create_app()
except ConfigError as error:
    log_config_error(error)
    raise
