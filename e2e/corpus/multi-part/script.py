#!/usr/bin/env python3
import os
open("/var/log/witness", "a").write("python %s\n" % os.getcwd())
