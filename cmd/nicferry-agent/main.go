//go:build linux

// Command nicferry-agent is the agent on a node: it ferries NICs into Docker
// containers and takes them back. It needs root, and holds no cloud keys.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/cmd/manual"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/identity"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/internal/slack"
	"github.com/nicferry/nicferry/internal/version"
	"github.com/nicferry/nicferry/sriov/sysfs"
	"github.com/nicferry/nicferry/vmagent"
	"github.com/nicferry/nicferry/vmagent/containers"
)

// The main thread cannot die, so a goroutine that fails to leave a foreign
// namespace must never run on it.
func init() { runtime.LockOSThread() }

func main() {
	os.Exit(daemon.Run("nicferry-agent", os.Stderr, func(ctx context.Context) error {
		return command().ExecuteContext(ctx)
	}))
}

func command() *cobra.Command {
	var config, level, format string
	cmd := &cobra.Command{
		Use:   "nicferry-agent",
		Short: "The nicferry agent of this node",
		Long: `nicferry-agent watches Docker on this node and gives each container that asks
for one by label a network card of its own. Containers keep their NICs while
the agent is away; the next one takes over where it stopped.

Exit codes: 0 told to stop, 1 failed, 2 wrong flags or config, 6 another agent has
started for this node. Whoever restarts an agent must not do so after 6.`,
		Example: `  nicferry-agent
  nicferry-agent --config ./agent.yaml
  nicferry-agent join 10.0.0.1:7460 token.txt`,
		Args:          noArgs,
		Version:       version.Get().Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if os.Geteuid() != 0 {
				return daemon.UsageError{Err: errors.New("needs root to move network cards between namespaces; run it with sudo, or as its systemd unit")}
			}
			c, err := conf.LoadAgent(config)
			if err != nil {
				return daemon.UsageError{Err: fmt.Errorf("config not accepted, nothing started:\n%w", err)}
			}
			if c.Log, err = c.Log.With(level, format); err != nil {
				return daemon.UsageError{Err: err}
			}
			own, err := identity.Complete(c)
			if err != nil {
				return daemon.UsageError{Err: fmt.Errorf("nothing started: %w", err)}
			}
			return serve(cmd.Context(), c, own)
		},
	}
	cmd.Flags().StringVar(&config, "config", conf.AgentPath, "the config file")
	cmd.Flags().StringVar(&level, "log-level", "", "debug, info, warn or error (default: log.level of the config)")
	cmd.Flags().StringVar(&format, "log-format", "", "text, json or auto (default: log.format of the config)")
	cmd.AddCommand(joinCommand(), sriovCommand(sysfs.Options{Elsewhere: sysfs.Namespaces, Reload: reloadUdev}, nameHere))
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return daemon.UsageError{Err: err} })
	manual.Add(cmd, "8")
	return cmd
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return daemon.UsageError{Err: fmt.Errorf("unknown command %q; see nicferry-agent --help", args[0])}
	}
	return nil
}

// agentRetries lets a call outlive a restart of the controller: about three
// seconds. What fails after that is told in the log, and tried again by whoever
// made the call.
const agentRetries = 5

// serve wires the parts and runs the agent until ctx ends. own is the identity
// that it connects with; nil if its config says with what.
func serve(ctx context.Context, c *conf.Agent, own *identity.Identity) (err error) {
	log := daemon.Logger(os.Stderr, c.Log.SlogLevel(), c.Log.Format)
	if err := slack.Take(); err != nil {
		log.Debug("NICs may come later than they could", "err", err)
	}
	var running atomic.Pointer[vmagent.Agent]
	refusals := make(chan struct{}, 1) // one that nobody has looked at is as good as many
	controller, err := client.Open(client.Options{
		Addresses: c.Controllers, TLS: files(c.TLS), Log: log, Retries: agentRetries,
		Watched: func(err error) {
			if agent := running.Load(); agent != nil {
				agent.Heard(err)
			}
		},
		Refused: func() {
			select {
			case refusals <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		return err
	}
	defer controller.Close()
	if own != nil {
		defer keep(ctx, own, controller, refusals, log)()
	}
	notifier, err := daemon.NewNotifier(log)
	if err != nil {
		return err
	}
	v := &vitals{node: c.Node, running: &running, notifier: notifier, log: log}
	defer attend(ctx, notifier, v)()
	seen, quiet := offerMetrics(ctx, c, v, log)
	defer quiet()
	engine, err := openEngine(ctx, c, notifier, log)
	switch {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil // told to stop while it waited
	case err != nil:
		return err
	}
	defer engine.Close()
	v.engine.Store(engine)
	host, err := netns.Current()
	if err != nil {
		return err
	}
	defer host.Close()
	opts := vmagent.Options{
		Node: c.Node, Inventory: inventory(engine, c.Moves), Controller: controller, Engine: engine,
		Orders: orders(c, controller, engine, log), Host: host, RunDir: c.RunDir, Superseded: api.IsConflict, Refused: refused, Log: log, Observer: seen,
	}
	defer useCards(&opts, c.SRIOV.Numbering(), &running)()
	agent, err := vmagent.New(opts)
	if err != nil {
		return err
	}
	running.Store(agent)
	notifier.Status("serving node " + c.Node)
	log.Info("agent started", "version", version.Get().Version, "node", c.Node, "docker", engine.Version())
	err = agent.Run(ctx)
	if errors.Is(err, vmagent.ErrSuperseded) {
		err = daemon.ReplacedError{Err: err}
	}
	notifier.Stopping()
	log.Info("agent stopped, containers keep their NICs")
	return errors.Join(err, agent.Close())
}

// refused says whether the controller has answered that the agent may not, and has
// not merely failed or said later.
func refused(err error) bool {
	switch api.CodeOf(err) {
	case "", api.CodeUnavailable, api.CodeInternal:
		return false
	}
	return true
}

func files(t *conf.TLS) mtls.Files {
	if t == nil {
		return mtls.Files{}
	}
	return mtls.Files{CA: t.CA, Cert: t.Cert, Key: t.Key}
}

// keep renews the identity's certificate until ctx ends or the returned function
// is called.
func keep(ctx context.Context, own *identity.Identity, controller *client.Client, refusals <-chan struct{}, log *slog.Logger) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { own.Keep(ctx, controller, refusals, log) })
	return func() {
		cancel()
		wg.Wait()
	}
}

// attend tells the service manager at once that the agent has started: it and
// the Docker daemon must not wait for each other at boot. Then it gives signs
// of life until ctx ends or the returned function is called.
func attend(ctx context.Context, notifier *daemon.Notifier, v *vitals) (end func()) {
	notifier.Ready("opening the Docker daemon")
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { notifier.Watch(ctx, v.health) })
	return func() {
		cancel()
		wg.Wait()
	}
}

// openEngine waits for a Docker daemon, saying so; one that is there and
// cannot be served is an error at once.
func openEngine(ctx context.Context, c *conf.Agent, notifier *daemon.Notifier, log *slog.Logger) (*containers.Engine, error) {
	backoff := retry.Backoff{First: 200 * time.Millisecond, Max: 10 * time.Second}
	for {
		engine, err := containers.Open(ctx, containers.Options{Socket: c.Docker.Socket, Resync: c.Resync.D(), Log: log})
		if err == nil || !errors.Is(err, containers.ErrNoEngine) {
			return engine, err
		}
		log.Warn("waiting for the Docker daemon", "err", err)
		notifier.Status("waiting for the Docker daemon: " + err.Error())
		if err := retry.Sleep(ctx, backoff.Next()); err != nil {
			return nil, err
		}
	}
}
