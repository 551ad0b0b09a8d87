package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// checkWithin is how long all questions to the clouds may take.
const checkWithin = 2 * time.Minute

// configCommand is "nicferryd config".
func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Work with the config file", Example: "  nicferryd config check --online",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand((&checkCommand{}).command())
	return cmd
}

// checkCommand is "nicferryd config check".
type checkCommand struct {
	online          bool
	cluster, format string
}

func (k *checkCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say everything that is wrong with the config, also by asking the clouds",
		Long: `Say everything that is wrong with the config, with file and line, and start
nothing. With --online the clouds are asked as well, with the credentials that
nicferryd would have: which calls are permitted, by tries that have no effect, and
whether subnets and security groups are there and fit each other.

Permissions may hang on the cluster's id, which nicferryd has drawn at its first
start. It is read from the store; while nicferryd runs that is not possible, and
--cluster gives it.

Exit codes: 0 all is well, 1 a cloud lacks something, 2 wrong flags or config.`,
		Example: `  nicferryd config check
  nicferryd config check --online --cluster 4k2vq7xh3m ./nicferryd.yaml
  nicferryd config check --online -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return daemon.UsageError{Err: fmt.Errorf("want one file, got %d", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return k.check(cmd.Context(), append(args, conf.ControllerPath)[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&k.online, "online", false, "ask the clouds too, and make nothing there")
	cmd.Flags().StringVar(&k.cluster, "cluster", "", "the cluster's `id`, as nicferryd logs it; the default is the store's")
	cmd.Flags().StringVarP(&k.format, "output", "o", "text", "the `format`: text, json")
	return cmd
}

func (k *checkCommand) check(ctx context.Context, path string, out, progress io.Writer) error {
	c, err := conf.LoadController(path)
	if err != nil {
		return daemon.UsageError{Err: err}
	}
	if k.format != "text" && k.format != "json" {
		return daemon.UsageError{Err: fmt.Errorf("-o %q: want text or json", k.format)}
	}
	findings := []finding{}
	if k.online {
		ctx, cancel := context.WithTimeout(ctx, checkWithin)
		defer cancel()
		fmt.Fprintln(progress, "nicferryd: asking the clouds; nothing is made there")
		if findings, err = checkOnline(ctx, c, k.cluster); err != nil {
			return err
		}
	}
	if len(findings) == 0 && k.format == "text" {
		_, err := fmt.Fprintf(out, "%s: ok\n", path)
		return err
	}
	return tell(out, k.format, findings)
}

// A finding is what a provider's check has found.
type finding struct {
	Provider string `json:"provider"`
	provider.Finding
}

// checkOnline asks all providers that can check anything.
func checkOnline(ctx context.Context, c *conf.Controller, cluster string) (all []finding, err error) {
	all = []finding{}
	var clouds []conf.Provider
	for _, p := range c.Providers {
		if p.InCloud() {
			clouds = append(clouds, p)
		}
	}
	records, known, err := ids(ctx, c, clouds, cluster)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	providers, err := openProviders(ctx, &conf.Controller{Providers: clouds}, records, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeProviders(providers)) }()
	for _, cloud := range clouds {
		checker, ok := provider.As[provider.Checker](providers[cloud.Name])
		if !ok {
			continue
		}
		if !known {
			all = append(all, finding{cloud.Name, provider.Finding{
				Verdict: provider.Unknown, About: "cluster's id", Message: "is not known here, so that what is permitted for it alone is refused: say --cluster, or stop nicferryd meanwhile",
			}})
		}
		var networks []nic.Network
		for _, n := range c.Networks {
			if n.Provider == cloud.Name {
				networks = append(networks, n)
			}
		}
		for _, f := range checker.Check(ctx, networks) {
			all = append(all, finding{cloud.Name, f})
		}
	}
	return all, nil
}

// storeWait is how long a running nicferryd is given to let go of its store.
const storeWait = 2 * time.Second

// ids are records that have the clusters' ids, and whether they are the true ones. A
// store that is not there is not made.
func ids(ctx context.Context, c *conf.Controller, clouds []conf.Provider, cluster string) (records store.Store, known bool, err error) {
	there := c.Etcd != nil
	if !there {
		_, err := os.Stat(c.Store)
		there = !errors.Is(err, fs.ErrNotExist)
	}
	if cluster == "" && there {
		within, cancel := context.WithTimeout(ctx, storeWait)
		defer cancel()
		records, err := openStore(within, c, boltstore.Options{})
		switch {
		case err == nil:
			return records, true, nil
		case within.Err() == nil:
			return nil, false, err
		}
	}
	records = memstore.New(memstore.Options{})
	for _, p := range clouds {
		if cluster == "" {
			break
		}
		if _, _, err := allocator.NewLedger(records, p.Name).Put(ctx, clusterKey, []byte(cluster)); err != nil {
			return nil, false, errors.Join(err, records.Close())
		}
	}
	return records, cluster != "", nil
}

// errLacking is for the exit code; what is lacking has been told.
var errLacking = errors.New("a cloud lacks something")

func tell(out io.Writer, format string, findings []finding) error {
	lacking := false
	for _, f := range findings {
		lacking = lacking || f.Verdict == provider.Bad
	}
	if format == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(findings); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
		fmt.Fprintln(w, "VERDICT\tPROVIDER\tNETWORK\tABOUT\tMESSAGE")
		for _, f := range findings {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.Verdict, f.Provider, printable(f.Network), printable(f.About), printable(f.Message))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if lacking {
		return errLacking
	}
	return nil
}

// printable keeps what a cloud says from speaking to a terminal, and in its line.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if s == "" {
		return "-"
	}
	return s
}
