package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/internal/store/etcdstore"
	"github.com/nicferry/nicferry/internal/store/fenced"
	"github.com/nicferry/nicferry/internal/store/transfer"
)

// migrateVerb is "nicferryd store migrate".
func migrateVerb() storeVerb {
	return storeVerb{
		use: "migrate", short: "Copy all records from a file to etcd, or from etcd to a file",
		long: `Copy all records from a file to etcd, or from etcd to a file, and compare them
afterwards. Which etcd it is says the config, whose store is of kind etcd already.
No nicferryd may run, on the file or on etcd: it is refused. What gets the records
must have none. A copy that is broken off is begun again, and goes on; until it is
whole no nicferryd starts there. What the records are copied from stays as it is:
move it away, so that no nicferryd works with it any more.`,
		example: `  nicferryd store migrate --to etcd
  nicferryd store migrate --to etcd --from /var/lib/nicferry/nicferry.db
  nicferryd store migrate --to /var/lib/nicferry/back.db`,
		flags: func(cmd *cobra.Command, r *storeRun) {
			cmd.Flags().StringVar(&r.to, "to", "", "what gets the records: etcd, or a `file` that is not there")
			cmd.Flags().StringVar(&r.from, "from", conf.DefaultStore, "the `file` that has the records, with --to etcd")
		},
		do: (*storeRun).migrate,
	}
}

// toEtcd is the word for it among files.
const toEtcd = "etcd"

// A migrated store is what migrate tells.
type migrated struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Records int    `json:"records"`
}

func (r *storeRun) migrate(ctx context.Context, _ []string) (err error) {
	c, err := conf.LoadController(r.config)
	switch {
	case r.to == "":
		return daemon.UsageError{Err: errors.New("say --to etcd, or --to and a file")}
	case r.store != "":
		return daemon.UsageError{Err: errors.New("the file is said by --from or --to, not by --store")}
	case err != nil:
		return daemon.UsageError{Err: fmt.Errorf("mend the config, which says where etcd is: %w", err)}
	case c.Etcd == nil:
		return daemon.UsageError{Err: fmt.Errorf("the store of %s is a file: give it the store of kind etcd first (docs/fleet.md)", r.config)}
	}
	path, done := r.from, migrated{From: r.from, To: toEtcd}
	if r.to != toEtcd {
		path, done = r.to, migrated{From: toEtcd, To: r.to}
	} else if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("read the records: %w; nothing was changed", err)
	}
	shared, release, err := lockEtcd(ctx, c)
	if err != nil {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	defer func() { err = errors.Join(err, release()) }()
	file, err := boltstore.Open(ctx, path, boltstore.Options{})
	if err != nil {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	from, to := store.Store(file), shared
	if r.to != toEtcd {
		from, to = to, from
	}
	if done.Records, err = r.copyAll(ctx, from, to); err != nil {
		return err
	}
	return r.tellMigrated(done)
}

// lockWait is longer than a term of a controller that was killed.
const lockWait = 2 * etcdstore.DefaultTerm

// lockEtcd opens the records in etcd, on which nobody leads until release is called.
func lockEtcd(ctx context.Context, c *conf.Controller) (_ store.Store, release func() error, err error) {
	opts, err := etcdOptions(c)
	if err != nil {
		return nil, nil, err
	}
	opts.Holder += ", where 'nicferryd store migrate' runs"
	records, err := etcdstore.Open(ctx, opts)
	if err != nil {
		return nil, nil, err
	}
	waits, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	term, err := records.Lead(waits, leaderName)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("a nicferryd runs on etcd: end all that do (%s)", standby{records}.leader(ctx))
		}
		return nil, nil, errors.Join(err, records.Close())
	}
	return fenced.New(records, term), records.Close, nil
}

func (r *storeRun) copyAll(ctx context.Context, from, to store.Store) (int, error) {
	if err := transfer.Unfinished(ctx, from); err != nil {
		return 0, fmt.Errorf("read the records: %w", err)
	}
	next := time.Now().Add(showEach)
	n, err := transfer.Copy(ctx, from, to, func(n int) {
		if time.Now().After(next) {
			next = time.Now().Add(showEach)
			fmt.Fprintf(r.progress, "nicferryd: %d records copied\n", n)
		}
	})
	switch {
	case errors.Is(err, transfer.ErrNotEmpty) && r.to == toEtcd:
		return 0, fmt.Errorf("etcd, under the store.prefix of %s: %w; nothing was changed: say another prefix, or remove them with etcdctl del --prefix", r.config, err)
	case errors.Is(err, transfer.ErrNotEmpty):
		return 0, fmt.Errorf("%s: %w; nothing was changed: say another file", r.to, err)
	case err != nil:
		return 0, fmt.Errorf("copy the records, which goes on where it was when it is begun again: %w", err)
	}
	return n, nil
}

func (r *storeRun) tellMigrated(done migrated) error {
	if r.format == "json" {
		return r.encode(done)
	}
	next := "move it away and start nicferryd"
	if done.From == toEtcd {
		next = fmt.Sprintf("say 'store: %s' in the config of one nicferryd and start it alone", done.To)
	}
	_, err := fmt.Fprintf(r.out, "%s: %d records, copied from %s and compared\n%s stays as it was: %s, and see what 'nicferry audit' says.\n",
		done.To, done.Records, done.From, done.From, next)
	return err
}

// whole refuses records that have not all been copied here, and closes them.
func whole(ctx context.Context, records store.Store) (store.Store, error) {
	err := transfer.Unfinished(ctx, records)
	if err == nil {
		return records, nil
	}
	if errors.Is(err, transfer.ErrUnfinished) {
		err = fmt.Errorf("%w: begin 'nicferryd store migrate' again, it goes on", err)
	}
	return nil, errors.Join(fmt.Errorf("open store: %w", err), records.Close())
}
