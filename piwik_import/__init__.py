"""Import web-server logs into Piwik and Matomo."""

__version__ = "0.1.0"
