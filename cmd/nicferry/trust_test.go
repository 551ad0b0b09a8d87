package main

import (
	"context"
	"log/slog"
	"net/netip"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/nicferry/nicferry/internal/api/apitest"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/authority"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
)

// newTrust is the controller's own authority, which lets n1 in.
func newTrust(env *testscript.Env, log *slog.Logger) (*authority.Authority, error) {
	records := memstore.New(memstore.Options{})
	env.Defer(func() { records.Close() })
	return authority.Open(context.Background(), authority.Options{
		Store: records, Log: log, Address: "127.0.0.1:7460",
		Instances: func(node string) (map[string]nic.InstanceID, bool) {
			return map[string]nic.InstanceID{"vms": "uuid-1"}, node == "n1"
		},
		Addresses: func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil },
	})
}

// serveOwn serves with it at $OWN.
func serveOwn(env *testscript.Env, trust *authority.Authority, backend *apitest.Backend, log *slog.Logger) error {
	ln, err := server.ListenOwn("127.0.0.1:0", trust.Certificate, log)
	if err != nil {
		return err
	}
	serve(env, ln, server.Options{Backend: backend, Trust: trust, Log: log})
	env.Setenv("OWN", "https://"+ln.Addr().String())
	return nil
}
