package proof

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/local"
)

// A child is this test binary run as a controller, in a process of its own
// that can be killed.
const childEnv = "NICFERRY_PROOF_CHILD"

// A job is what a child is told.
type job struct {
	Store, Serve string   // the store's file, and the socket to serve on
	Cloud        string   // the socket of the cloud
	Local        bool     // the provider is local instead, with its ledger in the store
	Pool         nic.Pool // of the network life
	Public       bool     // containers have public addresses
	Shared       bool     // containers of the network life share NICs
	Slots        int      // of the node at the local provider; 0 for many
	Points       string   // a file to which each point is written that is passed
	Kills        []string // the points to die at, whichever comes first
}

// died is the file in which the child says where it dies.
func (j job) died() string { return j.Points + ".died" }

func runChild(text string) int {
	var j job
	err := json.Unmarshal([]byte(text), &j)
	if err == nil {
		err = j.run(context.Background())
	}
	fmt.Fprintln(os.Stderr, "controller ended:", err)
	return 1
}

func (j job) run(ctx context.Context) error {
	points, err := os.OpenFile(j.Points, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	var dying sync.Mutex
	at := func(point string) {
		if slices.Contains(j.Kills, point) {
			dying.Lock() // for good: it dies at one
			if err := os.WriteFile(j.died(), []byte(point), 0o600); err != nil {
				panic(err)
			}
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way
		}
		fmt.Fprintln(points, point)
	}
	bolt, err := boltstore.Open(ctx, j.Store, boltstore.Options{NoSync: true}) // a kill is no power cut
	if err != nil {
		return err
	}
	records := &marked{Store: bolt, at: at}
	cloud, err := j.provider(records, at)
	if err != nil {
		return err
	}
	alloc, err := allocator.New(allocator.Options{
		Store: records, Providers: map[string]provider.Provider{cloudName: cloud},
		Networks: j.networks(), Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Poll: pollEvery,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", j.Serve)
	if err != nil {
		return err
	}
	server := rpc.NewServer()
	if err := server.RegisterName("Controller", &served{alloc, records}); err != nil {
		return err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go server.ServeCodec(jsonrpc.NewServerCodec(conn))
		}
	}()
	return alloc.Run(ctx)
}

func (j job) networks() []nic.Network {
	all := lifeNetworks(j.Pool, j.Public)
	if j.Shared {
		all[0].Addressing, all[0].Subnets, all[0].Device = nic.AddrProvider, nil, nic.Device{}
		all[0].Cloud.Shared, all[0].Cooldown = true, nic.Duration(lifeCooldown)
	}
	return all
}

func (j job) provider(records store.Store, at func(string)) (provider.Provider, error) {
	if j.Local {
		p, err := local.New(local.Options{
			Name: cloudName, Ledger: allocator.NewLedger(records, cloudName), Nodes: allocator.NewNodes(records, cloudName),
			NICsPerNode: j.Slots,
		})
		return p, err // its calls are commits, which are points already
	}
	client, err := jsonrpc.Dial("unix", j.Cloud)
	if err != nil {
		return nil, err
	}
	return &markedCalls{Provider: &farCloud{client, j.Shared}, at: at}, nil
}
