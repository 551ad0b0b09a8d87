package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/bundle"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/version"
)

// bundleCommand is "nicferry bundle".
type bundleCommand struct {
	*app
	file   string
	format string
	since  time.Duration
	hide   bool

	root     string                // of the machine; "/" but in tests
	programs string                // the directory of what is run; PATH's if it is empty
	away     atomic.Pointer[error] // why the controller did not answer
}

// maxSince bounds how much of the journal is asked for.
const maxSince = 31 * 24 * time.Hour

func (b *bundleCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Collect what helps to find a fault into one archive, without secrets",
		Long: `Collect what helps to find a fault into one archive, without secrets.

To be run as root, on a node or where the controller is. Without root it collects
what it may, and index.json in the archive says what is missing and why. In it are
the doctor's findings, what the controller says, metrics, the configs, the daemons'
journal, addresses, routes, Docker's version and containers by name, PCI devices,
the kernel's last messages, and who may read which file.

Private keys, tokens and passwords are taken out, and the environment and the
labels of containers are never read, but for labels of nicferry's. MACs, addresses
and names of machines and containers stay; --hide-addresses puts mac-1, ipv4-1 and
so on in the place of addresses, the same for the same one. Look through it before
you give it away: only you know what else is a secret.

The archive (mode 0600) is named on stdout; with --out - it goes there itself.`,
		Example: `  nicferry bundle
  nicferry bundle --since 2h --hide-addresses --out /root/fault.tar.gz
  nicferry bundle --out - | ssh admin@elsewhere 'cat > bundle.tar.gz'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&b.file, "out", "", "the archive's `file`, which must not be there yet; - is stdout; default nicferry-bundle-HOST-TIME.tar.gz")
	flags.StringVarP(&b.format, "output", "o", "text", "the `format` of what is said about the archive: text, json, yaml")
	flags.DurationVar(&b.since, "since", 24*time.Hour, "how far back in `time` the journal goes")
	flags.BoolVar(&b.hide, "hide-addresses", false, "put names in the place of MACs and IP addresses")
	return cmd
}

func (b *bundleCommand) run(ctx context.Context) error {
	if err := checkFormat(b.format, "text"); err != nil {
		return err
	}
	if b.since <= 0 || b.since > maxSince {
		return usagef("--since %s: want more than nothing, and %s at most", b.since, maxSince)
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(b.err, "not run as root: some of it will be missing; index.json in the archive says what")
	}
	opts := bundle.Options{
		Items: b.items(), HideAddresses: b.hide, Version: version.Get().Version, Now: b.now,
		Progress: func(name string) { fmt.Fprintln(b.err, "collect", name) },
	}
	if b.file == "-" {
		_, err := bundle.Write(ctx, b.out, opts)
		return err
	}
	if b.file == "" {
		b.file = b.defaultName()
	}
	index, err := b.write(ctx, opts)
	if err != nil {
		return err
	}
	if b.format != "text" {
		return encode(b.out, b.format, struct {
			File  string       `json:"file"`
			Index bundle.Index `json:"index"`
		}{b.file, index})
	}
	missing := 0
	for _, e := range index.Items {
		if e.Missing != "" {
			missing++
		}
	}
	fmt.Fprintf(b.err, "%d of %d items are in it, whole or in part; look through it before you give it away\n", len(index.Items)-missing, len(index.Items))
	_, err = fmt.Fprintln(b.out, clean(b.file))
	return err
}

// write makes the file, whole or not at all.
func (b *bundleCommand) write(ctx context.Context, opts bundle.Options) (index bundle.Index, err error) {
	f, err := os.OpenFile(b.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return index, fmt.Errorf("make the archive: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(b.file))
		}
	}()
	index, err = bundle.Write(ctx, f, opts)
	return index, errors.Join(err, f.Close())
}

func (b *bundleCommand) defaultName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	host = strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", r) {
			return r
		}
		return '_'
	}, host)
	return fmt.Sprintf("nicferry-bundle-%s-%s.tar.gz", host, b.now().UTC().Format("20060102-150405"))
}

func (b *bundleCommand) path(name string) string { return filepath.Join(b.root, name) }

// program is where a program is.
func (b *bundleCommand) program(name string) string {
	if b.programs == "" {
		return name
	}
	return filepath.Join(b.programs, name)
}

// items are all that is collected.
func (b *bundleCommand) items() []bundle.Item {
	agent, _ := conf.LoadAgent(b.path(conf.AgentPath))
	controller, _ := conf.LoadController(b.path(conf.ControllerPath))
	docker, agentMetrics, controllerMetrics := conf.DefaultDockerSocket, conf.DefaultAgentMetrics, conf.DefaultControllerMetrics
	if agent != nil {
		docker, agentMetrics = agent.Docker.Socket, agent.Metrics.Address
	}
	if controller != nil {
		controllerMetrics = controller.Metrics.Address
	}
	all := append(b.ours(), b.daemons(agentMetrics, controllerMetrics)...)
	all = append(all, b.engine(b.path(docker))...)
	return append(all, b.machine()...)
}

// copyOf has a source's text for a program to read.
func copyOf(ctx context.Context, from bundle.Source) ([]byte, error) {
	var text limited
	err := from(ctx, &text)
	return text.text, err
}

// limited keeps what fits into 16 MiB, and fails beyond.
type limited struct{ text []byte }

func (l *limited) Write(p []byte) (int, error) {
	if len(l.text)+len(p) > 16<<20 {
		return 0, io.ErrShortWrite
	}
	l.text = append(l.text, p...)
	return len(p), nil
}
