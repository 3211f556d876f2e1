"""testtime: what does test-time compute buy?"""
