package allocator_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/store/boltstore"
)

// BenchmarkClaimsBySocket is BenchmarkClaims by the controller's unix socket, its API and
// its client: each client is a node's agent, with connections of its own. All of them
// share this machine's processors with the controller.
//
//	go test ./allocator -run '^$' -bench ClaimsBySocket -benchtime 20000x
func BenchmarkClaimsBySocket(b *testing.B) {
	eachClients(b, func(b *testing.B) *claimRig {
		r := openClaimRig(b, filepath.Join(b.TempDir(), "store.db"), boltstore.Options{})
		r.serve(b)
		return r
	})
}

// serve has nodes reach the controller by a socket, until stop.
func (r *claimRig) serve(b *testing.B) {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	socket := filepath.Join(b.TempDir(), "s")
	ln, err := server.Listen(socket, "", log)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := server.Run(ctx, ln, server.New(server.Options{Backend: r.alloc, Log: log}), log); err != nil {
			b.Error(err)
		}
	})
	var mu sync.Mutex
	agents := map[string]*client.Client{}
	r.via = func(node string) asker {
		mu.Lock()
		defer mu.Unlock()
		if agents[node] == nil {
			agent, err := client.Open(client.Options{Addresses: []string{"unix://" + socket}, Log: log})
			if err != nil {
				b.Error(err)
				return r.alloc
			}
			agents[node] = agent
		}
		return agents[node]
	}
	stop := r.stop
	r.stop = func() {
		for _, agent := range agents {
			agent.Close()
		}
		cancel()
		wg.Wait()
		stop()
	}
}
