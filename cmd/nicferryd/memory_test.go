package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestMemoryIsBoundedUnlessItIsInUse(t *testing.T) {
	for inUse, want := range map[uint64]int64{0: 768 << 20, 600 << 20: 768 << 20, 1 << 30: 1280 << 20} {
		if got := memoryLimit(inUse); got != want {
			t.Errorf("with %d bytes in use %d, want %d", inUse, got, want)
		}
	}
}

func TestWhatIsInUseIsMeasured(t *testing.T) {
	held := make([]byte, 64<<20)
	debug.FreeOSMemory()
	if got := inUse(); got < 64<<20 || got > 4<<30 {
		t.Errorf("%d bytes in use, of which the test holds %d", got, len(held))
	}
	runtime.KeepAlive(held)
}
