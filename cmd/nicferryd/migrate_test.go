package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/internal/store/etcdstore"
	"github.com/nicferry/nicferry/internal/store/etcdstore/etcdtest"
	"github.com/nicferry/nicferry/internal/store/transfer"
)

// A move is a file of records, an etcd without any, and the config that names it.
type move struct {
	dir, config, file string
	opts              etcdstore.Options
}

// records are how many the file has.
const records = 250

func newMove(t *testing.T) *move {
	t.Helper()
	dir := t.TempDir()
	m := &move{dir: dir, config: filepath.Join(dir, "nicferryd.yaml"), file: filepath.Join(dir, "nicferry.db")}
	m.opts = etcdstore.Options{Endpoints: etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Current(t)}).Endpoints, Holder: "machine7"}
	text := fmt.Sprintf("version: 1\nstore: {kind: etcd, endpoints: [%s]}\n", m.opts.Endpoints[0]) +
		"providers: [{name: local, kind: local, local: {slots: 4}}]\n" +
		"networks: [{name: lab, provider: local, addressing: dhcp, veth: {bridge: nf-lab, owned: true, uplinks: [uplink0]}}]\n"
	if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openFile(t, m.file)
	defer s.Close()
	for i := range records {
		if _, err := s.Commit(t.Context(), store.Create(fmt.Sprint("nic/", i), fmt.Appendf(nil, "{%d}", i))); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func openFile(t *testing.T, path string) store.Store {
	t.Helper()
	s, err := boltstore.Open(t.Context(), path, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (m *move) etcd(t *testing.T) *etcdstore.Store {
	t.Helper()
	s, err := etcdstore.Open(t.Context(), m.opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (m *move) run(t *testing.T, args ...string) (string, error) {
	return runStore(t, append([]string{"migrate", "--config", m.config}, args...)...)
}

// Records go from a file to etcd, and back to another one that has the same.
func TestMigrateToEtcdAndBack(t *testing.T) {
	t.Parallel()
	m := newMove(t)
	if out, err := m.run(t, "--to", "etcd", "--from", m.file); err != nil || !strings.Contains(out, fmt.Sprintf("etcd: %d records, copied from %s and compared", records, m.file)) {
		t.Fatalf("%s, %v", out, err)
	}
	if out, err := m.run(t, "--to", "etcd", "--from", m.file); !errors.Is(err, transfer.ErrNotEmpty) || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("a second time: %s, %v", out, err)
	}
	back := filepath.Join(m.dir, "back.db")
	if out, err := m.run(t, "--to", back, "-o", "json"); err != nil || !strings.Contains(out, fmt.Sprintf(`"records": %d`, records)) {
		t.Fatalf("%s, %v", out, err)
	}
	if out, err := m.run(t, "--to", m.file); !errors.Is(err, transfer.ErrNotEmpty) {
		t.Errorf("to a file that has records: %s, %v", out, err)
	}
	var all []string
	for _, path := range []string{m.file, back} {
		s := openFile(t, path)
		list, _, err := s.List(t.Context(), "", "", 0)
		if err != nil || s.Close() != nil {
			t.Fatal(err)
		}
		text := ""
		for _, rec := range list {
			text += fmt.Sprintf("%s %s\n", rec.Key, rec.Value)
		}
		all = append(all, text)
	}
	if all[0] != all[1] || strings.Count(all[0], "\n") != records {
		t.Errorf("from\n%s\ncame\n%s", all[0], all[1])
	}
}

// Nothing is copied while a controller runs on either side, and none starts where a copy
// was broken off.
func TestMigrateRefuses(t *testing.T) {
	t.Parallel()
	m := newMove(t)
	for _, args := range [][]string{{}, {"--to", "etcd", "--store", m.file}, {"--to", "etcd", "more"}, {"--to", "etcd", "--config", m.dir + "/none.yaml"}} {
		var usage daemon.UsageError
		if out, err := m.run(t, args...); !errors.As(err, &usage) {
			t.Errorf("%q: %s, %v", args, out, err)
		}
	}
	unchanged := func(what string, err error, why error, text string) {
		t.Helper()
		if err == nil || why != nil && !errors.Is(err, why) || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("%s: got %v", what, err)
		}
		if list, _, err := m.etcd(t).List(t.Context(), "nic/", "", 0); err != nil || len(list) > 0 {
			t.Errorf("%s: etcd has %d records, %v", what, len(list), err)
		}
	}
	_, err := m.run(t, "--to", "etcd", "--from", m.dir+"/none.db")
	unchanged("a file that is not there", err, os.ErrNotExist, "none.db")
	s := openFile(t, m.file)
	_, err = m.run(t, "--to", "etcd", "--from", m.file)
	unchanged("a controller on the file", err, boltstore.ErrInUse, m.file)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	e := m.etcd(t)
	term, err := e.Lead(t.Context(), leaderName)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.run(t, "--to", "etcd", "--from", m.file)
	unchanged("a controller on etcd", err, nil, "the one on machine7 leads")
	_, err = m.run(t, "--to", m.dir+"/back.db")
	unchanged("a controller on etcd, the way back", err, nil, "the one on machine7 leads")
	if _, err := os.Stat(m.dir + "/back.db"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file was made: %v", err)
	}
	if err := term.Resign(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.brokenOff(t, e)
}

// brokenOff has a part of a copy in etcd.
func (m *move) brokenOff(t *testing.T, e store.Store) {
	t.Helper()
	full := errors.New("full")
	s := openFile(t, m.file)
	if _, err := transfer.Copy(t.Context(), s, &failing{e, 2, full}, func(int) {}); !errors.Is(err, full) || s.Close() != nil {
		t.Fatal(err)
	}
	c, err := conf.LoadController(m.config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(t.Context(), c, boltstore.Options{}); !errors.Is(err, transfer.ErrUnfinished) || !strings.Contains(err.Error(), "store migrate") {
		t.Errorf("a controller on a part of the records: %v", err)
	}
	if out, err := m.run(t, "--to", "etcd", "--from", m.file); err != nil {
		t.Errorf("begun again: %s, %v", out, err)
	}
	again, err := openStore(t.Context(), c, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// failing takes some commits.
type failing struct {
	store.Store
	takes int
	err   error
}

func (f *failing) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	if f.takes--; f.takes < 0 {
		return 0, f.err
	}
	return f.Store.Commit(ctx, ops...)
}
