// SPDX-License-Identifier: Apache-2.0

package bustest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// given are the addresses that FreeAddress has returned.
var given sync.Map

// FreeAddress is a loopback address, host and port, that nobody listens on now and
// that this process has not been given before. Its port is below those that systems
// give to whoever asks for any: nobody has it by chance when a server under test
// takes it, or takes it again. The test ends when none is found.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		if _, taken := given.LoadOrStore(addr, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("a thousand ports between 10000 and 30000 were taken")
	return ""
}
