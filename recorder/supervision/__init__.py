"""`recorder run`: the recorder's processes on one machine, started, watched, ended in order."""
