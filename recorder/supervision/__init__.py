"""`recorder run`: start, supervise and stop the recorder's processes on one machine."""
