package etcdstore_test

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/etcdstore"
	"github.com/nicferry/nicferry/internal/store/etcdstore/etcdtest"
)

// BenchmarkCommit measures durable commits of one new record of 1 KiB on one local etcd.
//
//	go test ./internal/store/etcdstore -run '^$' -bench Commit -benchtime 10000x
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			c := etcdtest.Start(b, etcdtest.Options{Program: etcdtest.Current(b), Sync: true})
			s := open(b, etcdstore.Options{Endpoints: c.Endpoints})
			value := make([]byte, 1<<10)
			var n atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
						if _, err := s.Commit(b.Context(), store.Create("k/"+strconv.FormatInt(i, 16), value)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}
