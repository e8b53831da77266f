"""Health check of a container: does the node say that its shard and the beacon make blocks?"""

import sys
import urllib.error
import urllib.request

try:
    with urllib.request.urlopen("http://127.0.0.1:8545/health", timeout=3) as answer:
        sys.exit(answer.status != 200)
except urllib.error.HTTPError as error:
    print(error.read().decode()[:300])
except OSError as error:
    print(error)
sys.exit(1)
