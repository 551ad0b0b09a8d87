package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/store/boltstore"
)

// storeCommand is "nicferryd store".
func storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "store", Short: "Back up, restore, verify and move the store", Example: "  nicferryd store backup /var/backups/nicferry.db",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, v := range storeVerbs() {
		cmd.AddCommand(v.command())
	}
	return cmd
}

// A storeVerb is one thing that can be done with a store.
type storeVerb struct {
	use, short, long, example string
	least, most               int // of arguments
	// flags adds those that the verb has besides; optional.
	flags func(*cobra.Command, *storeRun)
	do    func(*storeRun, context.Context, []string) error
}

// storeVerbs are all, in the order of the help.
func storeVerbs() []storeVerb {
	return []storeVerb{
		{
			use: "backup FILE", short: "Write all that the store holds to a new file",
			long: `Write all that the store holds at one moment to a new file, and verify it. A
nicferryd that runs is asked, and goes on meanwhile; root and the user that it runs
as may. FILE has the CA's key in it: it is made for its owner alone, and belongs
where nobody else reads it. A file that is there already is not replaced.`,
			example: `  nicferryd store backup /var/backups/nicferry.db
  nicferryd store backup -o json "/var/backups/nicferry-$(date +%F).db"`,
			least: 1, most: 1, do: (*storeRun).backup,
		},
		{
			use: "restore FILE", short: "Make the store what a backup holds",
			long: `Make the store what a backup holds, in one step; the backup is verified before.
What was there is kept beside it. nicferryd has to be stopped. What has happened
since the backup the controller then knows nothing of: agents that have joined since
join again, and 'nicferry audit' names the NICs that were made or given back since.`,
			example: `  nicferryd store restore /var/backups/nicferry.db
  nicferryd store restore --store ./nicferry.db /var/backups/nicferry.db`,
			least: 1, most: 1, do: (*storeRun).restore,
		},
		{
			use: "verify [FILE]", short: "Read all of the store, or of a backup, and say whether it is whole",
			long: `Read all of the store, or of a backup, and say whether it is whole: each page,
each record's checksum, and that none is missing. Nothing is changed. A nicferryd
that runs is asked for what it has, and goes on meanwhile.

Exit codes: 0 it is whole, 1 it is not, or cannot be read, 2 wrong flags or config.`,
			example: `  nicferryd store verify
  nicferryd store verify -o json /var/backups/nicferry.db`,
			least: 0, most: 1, do: (*storeRun).verify,
		},
		migrateVerb(),
	}
}

func (v storeVerb) command() *cobra.Command {
	r := &storeRun{}
	cmd := &cobra.Command{
		Use: v.use, Short: v.short, Long: v.long, Example: v.example,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < v.least || len(args) > v.most {
				return daemon.UsageError{Err: fmt.Errorf("want nicferryd store %s, got %d arguments", v.use, len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.format != "text" && r.format != "json" {
				return daemon.UsageError{Err: fmt.Errorf("-o %q: want text or json", r.format)}
			}
			r.out, r.progress = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return v.do(r, cmd.Context(), args)
		},
	}
	cmd.Flags().StringVar(&r.config, "config", conf.ControllerPath, "the config file, which says where the store is")
	cmd.Flags().StringVar(&r.store, "store", "", "the store's `file`; the default is the config's")
	cmd.Flags().StringVarP(&r.format, "output", "o", "text", "the `format`: text, json")
	if v.flags != nil {
		v.flags(cmd, r)
	}
	return cmd
}

// A storeRun is one run of a verb.
type storeRun struct {
	config, store, format string
	from, to              string // of migrate
	out, progress         io.Writer
}

// path is where the store is.
func (r *storeRun) path() (string, error) {
	if r.store != "" {
		return r.store, nil
	}
	c, err := conf.LoadController(r.config)
	if err != nil {
		return "", daemon.UsageError{Err: fmt.Errorf("say --store, or mend the config: %w", err)}
	}
	if c.Etcd != nil {
		return "", daemon.UsageError{Err: fmt.Errorf("the records of %s are in etcd: back them up by etcd's own 'etcdctl snapshot', copy them to a file by 'nicferryd store migrate', or say --store for a file", r.config)}
	}
	return c.Store, nil
}

func (r *storeRun) backup(ctx context.Context, args []string) error {
	path, err := r.path()
	if err != nil {
		return err
	}
	sum, err := boltstore.Backup(ctx, path, args[0], r.shows("read"))
	if err != nil {
		return err
	}
	return r.tell(sum, "%s: %s, backed up and whole\n", args[0], described(sum))
}

func (r *storeRun) verify(ctx context.Context, args []string) error {
	path := ""
	var err error
	if len(args) > 0 {
		path = args[0]
	} else if path, err = r.path(); err != nil {
		return err
	}
	sum, err := boltstore.Verify(ctx, path, r.shows("read"))
	if err != nil {
		return err
	}
	return r.tell(sum, "%s: %s, whole\n", path, described(sum))
}

// A restored store is what restore tells.
type restored struct {
	boltstore.Summary
	Former string `json:"former,omitempty"`
}

func (r *storeRun) restore(ctx context.Context, args []string) error {
	path, err := r.path()
	if err != nil {
		return err
	}
	sum, former, err := boltstore.Restore(ctx, args[0], path, r.shows("written"))
	if errors.Is(err, boltstore.ErrInUse) {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	if errors.Is(err, fs.ErrNotExist) && former == "" {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	if err != nil {
		return err
	}
	if r.format == "json" {
		return r.encode(restored{sum, former})
	}
	fmt.Fprintf(r.out, "%s: %s, restored from %s\n", path, described(sum), args[0])
	if former != "" {
		fmt.Fprintf(r.out, "What was there is %s.\n", former)
	}
	_, err = fmt.Fprintln(r.out, "Start nicferryd, and see what 'nicferry audit' says.")
	return err
}

// tell says what a verb has done.
func (r *storeRun) tell(sum boltstore.Summary, format string, args ...any) error {
	if r.format == "json" {
		return r.encode(sum)
	}
	_, err := fmt.Fprintf(r.out, format, args...)
	return err
}

func (r *storeRun) encode(v any) error {
	e := json.NewEncoder(r.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// described is a store in words.
func described(s boltstore.Summary) string {
	of := ""
	if s.Running {
		of = " of the running nicferryd"
	}
	return fmt.Sprintf("%d records%s at revision %d, %s", s.Records, of, s.Revision, inMiB(s.Bytes))
}

func inMiB(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// showEach is how often it is said how far a verb is.
const showEach = time.Second

// shows says how far a verb is, where it takes a while.
func (r *storeRun) shows(done string) func(now, of int64) {
	next := time.Now().Add(showEach)
	return func(now, of int64) {
		if time.Now().Before(next) {
			return
		}
		next = time.Now().Add(showEach)
		fmt.Fprintf(r.progress, "nicferryd: %s of %s %s\n", inMiB(now), inMiB(of), done)
	}
}
