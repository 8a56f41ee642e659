// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"runtime"
	"sync"
)

// procs guards GOMAXPROCS against two miners changing it at a time.
var procs sync.Mutex

// raised is how much all miners together have added to GOMAXPROCS.
var raised int

// raiseProcs adds n places for goroutines to run on.
func raiseProcs(n int) {
	procs.Lock()
	defer procs.Unlock()
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + n)
	raised += n
}

// lowerProcs takes them away again, relative to what is set by now.
func lowerProcs(n int) {
	procs.Lock()
	defer procs.Unlock()
	runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)-n))
	raised -= n
}

// givenProcs returns GOMAXPROCS without what miners added.
func givenProcs() int {
	procs.Lock()
	defer procs.Unlock()
	return max(1, runtime.GOMAXPROCS(0)-raised)
}
