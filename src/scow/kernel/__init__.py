"""The only system calls and ctypes of Scow: synchronous, standard library only."""
