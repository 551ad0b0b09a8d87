package allocator_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/nic"
)

// atNodes is how many claims each node has already where one more is measured.
const atNodes = 10

// BenchmarkClaimAtNodes measures what a claim costs where there are so many nodes, each
// with claims of its own: the time and the processors' time of it, with all that the
// controller does after it, by 64 clients at once on as many nodes.
//
//	go test ./allocator -run '^$' -bench ClaimAtNodes -benchtime 20000x
func BenchmarkClaimAtNodes(b *testing.B) {
	const clients = 64
	for _, nodes := range []int{100, 10_000} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "store.db")
			manyClaims(b, path, nodes*atNodes, nodes)
			r := openClaimRig(b, path, boltstore.Options{})
			defer r.stop()
			if _, err := r.alloc.Hello(b.Context(), "new", nic.Inventory{Boot: "b"}); err != nil {
				b.Fatal(err)
			}
			first, err := r.claim("new", rand.Int64())
			if err != nil {
				b.Fatal(err)
			}
			r.untilReady(b, first)
			r.untilLooked(b)
			var next atomic.Int64
			var wg sync.WaitGroup
			before := processorTime(b)
			b.ResetTimer()
			for c := range clients {
				wg.Go(func() {
					node := fmt.Sprint("node-", c*nodes/clients)
					for next.Add(1) <= int64(b.N) {
						if _, err := r.claim(node, rand.Int64()); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "claims/s")
			b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-us/claim")
		})
	}
}

// processorTime is what the process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
