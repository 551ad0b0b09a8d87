// Command nicferryd is the controller: it holds the store and the providers,
// gives NICs to claims and serves the API.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/cmd/manual"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/authority"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/version"
	"github.com/nicferry/nicferry/nic"
)

func main() {
	os.Exit(daemon.Run("nicferryd", os.Stderr, func(ctx context.Context) error {
		return command().ExecuteContext(ctx)
	}))
}

func command() *cobra.Command {
	var config, level, format string
	cmd := &cobra.Command{
		Use:   "nicferryd",
		Short: "The nicferry controller",
		Long: `nicferryd is nicferry's controller. It reads its config, opens its store and
serves the API, on a unix socket and where the config says so over TLS, until it
is told to stop. Containers keep their NICs while it is away.

Exit codes: 0 told to stop, 1 failed, 2 wrong flags or config.`,
		Example: `  nicferryd
  nicferryd --config ./nicferryd.yaml`,
		Args:          noArgs,
		Version:       version.Get().Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conf.LoadController(config)
			if err != nil {
				return daemon.UsageError{Err: fmt.Errorf("config not accepted, nothing started:\n%w", err)}
			}
			if c.Log, err = c.Log.With(level, format); err != nil {
				return daemon.UsageError{Err: err}
			}
			return serve(cmd.Context(), c)
		},
	}
	cmd.Flags().StringVar(&config, "config", conf.ControllerPath, "the config file")
	cmd.Flags().StringVar(&level, "log-level", "", "debug, info, warn or error (default: log.level of the config)")
	cmd.Flags().StringVar(&format, "log-format", "", "text, json or auto (default: log.format of the config)")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return daemon.UsageError{Err: err} })
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.AddCommand(configCommand(), storeCommand())
	manual.Add(cmd, "8")
	return cmd
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return daemon.UsageError{Err: fmt.Errorf("want no arguments, got %q", args)}
	}
	return nil
}

// workers is how many NICs are worked on at a time: nearly all of them wait for a
// provider's answer.
const workers = 32

// logger makes the log, which begins with what may be wrong with the config.
func logger(c *conf.Controller) *slog.Logger {
	log := daemon.Logger(os.Stderr, c.Log.SlogLevel(), c.Log.Format)
	for _, w := range c.Warnings {
		log.Warn("the config may be wrong", "file", w.File, "line", w.Line, "field", w.Field, "problem", w.Problem)
	}
	return log
}

// serve wires the parts and runs them until ctx ends or one of them fails.
func serve(ctx context.Context, c *conf.Controller) (err error) {
	log := logger(c)
	var wg sync.WaitGroup
	defer wg.Wait()
	running, stop := context.WithCancel(ctx)
	defer stop()
	wg.Go(func() { boundMemory(running) })
	notifier, err := daemon.NewNotifier(log)
	if err != nil {
		return err
	}
	records, err := awaitStore(ctx, c, notifier, log)
	if err != nil {
		if c.Etcd != nil && ctx.Err() != nil {
			return nil // told to stop while it waited
		}
		return err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	own, err := takeOver(ctx, c, records, notifier, log)
	switch {
	case ctx.Err() != nil:
		return nil // told to stop before it was its turn
	case err != nil:
		return err
	}
	defer own.end()
	return work(ctx, c, own, notifier, log)
}

// work is what the one controller does that leads.
func work(ctx context.Context, c *conf.Controller, own reign, notifier *daemon.Notifier, log *slog.Logger) (err error) {
	records := own.Store
	trust, err := authority.Open(ctx, trustOptions(c, records, log))
	if err != nil {
		return err
	}
	var running atomic.Pointer[allocator.Allocator]
	providers, err := openProviders(ctx, c, records, daemon.Claiming(log, claimOf(&running)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeProviders(providers)) }()
	happened := beginEvents(c)
	seen := newMetrics(c, trust, running.Load)
	alloc, err := allocator.New(allocator.Options{
		Store: records, Providers: providers, Networks: c.Networks, Instances: c.Instances, Log: log, Events: happened,
		Tenants: c.Tenants, TenantsOf: c.TenantsOf, Trust: trust, Sweep: sweepOf(c.Sweep), Observer: seen, Workers: workers,
		Holds: own.holds,
	})
	if err != nil {
		return err
	}
	running.Store(alloc)
	moves, err := newFerry(records, alloc, happened, seen, log)
	if err != nil {
		return err
	}
	listeners, err := listen(c, trust, log)
	if err != nil {
		return err
	}
	offer, err := serveMetrics(c, seen, alloc, log)
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	build := version.Get()
	handler := server.New(server.Options{
		Backend: alloc, Trust: trust, Log: log, Kinds: append(kinds(), moveKinds()...), Requested: seen.Requested,
		Mover: moves.mover, Tasks: moves.board, Streams: moves.relay,
		Tenants: c.Tenants, TenantsOf: c.TenantsOf, Events: happened, Version: api.Version{Version: build.Version, Commit: build.Commit, Go: build.Go},
	})
	log.Info("controller started", "version", build.Version, "socket", c.Socket, "tls", tlsAddress(c), "store", storeName(c), "networks", len(c.Networks))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return own.watch(ctx) })
	group.Go(func() error { return alloc.Run(ctx) })
	moves.run(ctx, group)
	group.Go(func() error { return offer(ctx) })
	for _, ln := range listeners {
		group.Go(func() error { return server.Run(ctx, ln, handler, log) })
	}
	group.Go(func() error { notifier.Watch(ctx, alloc.Health); return nil })
	context.AfterFunc(ctx, notifier.Stopping)
	notifier.Ready("serving on " + c.Socket)
	err = group.Wait()
	log.Info("controller stopped")
	return own.explain(err)
}

// claimOf is for the log: whose a NIC is, empty for nobody's.
func claimOf(running *atomic.Pointer[allocator.Allocator]) func(string) string {
	return func(id string) string {
		if alloc := running.Load(); alloc != nil {
			return string(alloc.ClaimOf(nic.ID(id)))
		}
		return ""
	}
}

// listen opens the socket, and the TLS port if there is to be one.
func listen(c *conf.Controller, trust *authority.Authority, log *slog.Logger) ([]net.Listener, error) {
	socket, err := server.Listen(c.Socket, c.SocketGroup, log)
	if err != nil || c.Listen == nil {
		return []net.Listener{socket}, err
	}
	var port net.Listener
	if c.Listen.OwnAuthority() {
		port, err = server.ListenOwn(c.Listen.Address, trust.Certificate, log)
	} else {
		port, err = server.ListenTLS(c.Listen.Address, mtls.Files{CA: c.Listen.ClientCA, Cert: c.Listen.Cert, Key: c.Listen.Key}, log)
	}
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return []net.Listener{socket, port}, nil
}

// sweepOf is the sweep that the config asks for; nil for none.
func sweepOf(s conf.Sweep) *allocator.Sweep {
	if s.Off {
		return nil
	}
	return &allocator.Sweep{Every: s.Every.D(), Grace: s.Grace.D()}
}

func closeAll(listeners []net.Listener) error {
	var errs []error
	for _, ln := range listeners {
		errs = append(errs, ln.Close())
	}
	return errors.Join(errs...)
}

// storeName is for the log.
func storeName(c *conf.Controller) string {
	if c.Etcd != nil {
		return "etcd"
	}
	return c.Store
}

// tlsAddress is for the log; empty without TLS.
func tlsAddress(c *conf.Controller) string {
	if c.Listen == nil {
		return ""
	}
	return c.Listen.Address
}

// kinds says what the allocator's errors are called on the wire.
func kinds() []server.Kind {
	return []server.Kind{
		{Err: allocator.ErrNotFound, Code: api.CodeNotFound},
		{Err: allocator.ErrStale, Code: api.CodeConflict},
		{Err: allocator.ErrInvalid, Code: api.CodeInvalid},
		{Err: allocator.ErrRefused, Code: api.CodeRefused},
		{Err: allocator.ErrStore, Code: api.CodeUnavailable},
	}
}
