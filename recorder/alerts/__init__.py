"""Alerts: rules on new rows and on the recorder's health, sent to the configured destinations."""
