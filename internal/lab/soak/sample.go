//go:build linux

package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/internal/store/boltstore"
)

// A Sample is what there was at a moment. What could not be told is -1.
type Sample struct {
	At   float64 `json:"at"` // seconds since the beginning
	Rest bool    `json:"rest,omitempty"`
	// Of are the two daemons, without one that does not run.
	Of         map[string]Process `json:"of"`
	Namespaces int64              `json:"namespaces"`
	Links      int64              `json:"links"`
	Store      int64              `json:"store"` // bytes of the file
	Claims     int64              `json:"claims"`
	// Records is how many are in the store, and Kinds how many of each kind, at rest alone.
	Records int64            `json:"records"`
	Kinds   map[string]int64 `json:"kinds,omitempty"`
}

// A Process is what the kernel says of one.
type Process struct {
	// Life counts the daemon's starts: another one has memory of its own.
	Life    int   `json:"life"`
	RSS     int64 `json:"rss"`
	Threads int64 `json:"threads"`
	FDs     int64 `json:"fds"`
	// Goroutines are read at rest alone.
	Goroutines int64 `json:"goroutines"`
}

// A lookout takes samples.
type lookout struct {
	run *run

	mu      sync.Mutex
	pids    map[string]int
	lives   map[string]int
	samples []Sample
	// stood is how long the whole machine stood still, in nanoseconds.
	stood atomic.Int64
}

func newLookout(r *run) *lookout {
	return &lookout{run: r, pids: map[string]int{}, lives: map[string]int{}}
}

func (l *lookout) began(who string, pid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pids[who] = pid
	l.lives[who]++
}

func (l *lookout) gone(who string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pids, who)
}

func (l *lookout) all() []Sample {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.samples)
}

func (l *lookout) add(s Sample) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples = append(l.samples, s)
}

// start takes a sample every so often until ctx ends, and closes ended then.
func (l *lookout) start(ctx context.Context) (ended chan struct{}) {
	ended = make(chan struct{})
	every := max(time.Second, min(5*time.Second, l.run.Every/10))
	go func() {
		defer close(ended)
		var watching sync.WaitGroup
		watching.Go(func() { l.watch(ctx) })
		defer watching.Wait()
		for retry.Sleep(ctx, every) == nil {
			if s := l.take(ctx); ctx.Err() == nil {
				l.add(s)
			}
		}
	}()
	return ended
}

// watch notes how long this process does not run at all until ctx ends, as on a machine
// that is suspended: nobody can be blamed for that time.
func (l *lookout) watch(ctx context.Context) {
	const tick, still = 250 * time.Millisecond, 3 * time.Second
	for last := time.Now(); retry.Sleep(ctx, tick) == nil; last = time.Now() {
		if gap := time.Since(last); gap > still {
			l.stood.Add(int64(gap - tick))
		}
	}
}

// spacesAndLinks counts the network namespaces that processes are in with those that mounts
// keep, but for Docker's own mounts, and then the interfaces.
const spacesAndLinks = `held=$(lsns --noheadings --raw --type net --output NS | wc -l)
kept=$(grep ' - nsfs ' /proc/self/mountinfo | grep -vc /docker/ || true)
echo $((held + kept)) $(ip -o link | wc -l)`

// take is a sample of now.
func (l *lookout) take(ctx context.Context) Sample {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	s := Sample{At: l.run.since(), Of: map[string]Process{}, Namespaces: -1, Links: -1, Store: -1, Claims: -1, Records: -1}
	l.mu.Lock()
	for who, pid := range l.pids {
		if p, err := processOf(pid); err == nil {
			p.Life = l.lives[who]
			s.Of[who] = p
		}
	}
	l.mu.Unlock()
	out, err := l.run.vm.Machine.Run(ctx, "sh", "-ec", spacesAndLinks)
	if f := strings.Fields(out); err == nil && len(f) == 2 {
		s.Namespaces, s.Links = number(f[0]), number(f[1])
	}
	if info, err := os.Stat(l.run.fleet.StorePath()); err == nil {
		s.Store = info.Size()
	}
	if out, err := l.run.fleet.CLI(ctx, "get", "claims", "-o", "name"); err == nil {
		s.Claims = int64(len(strings.Fields(out)))
	}
	return s
}

// atRest takes the sample that is compared: the least of three, for what serves these
// very looks is there for a moment.
func (l *lookout) atRest(ctx context.Context) error {
	var least Sample
	for i := range 3 {
		s := l.take(ctx)
		for who, port := range map[string]string{controller: "7461", agent: "7462"} {
			node := l.run.fleet.Machine
			if who == agent {
				node = l.run.vm.Machine
			}
			p, ok := s.Of[who]
			if !ok {
				return fmt.Errorf("the %s does not run", who)
			}
			var err error
			if p.Goroutines, err = goroutines(ctx, node, port); err != nil {
				return fmt.Errorf("ask the %s for its metrics: %w", who, err)
			}
			s.Of[who] = p
		}
		if i == 0 {
			least = s
		}
		for who, p := range s.Of {
			at := least.Of[who]
			least.Of[who] = Process{p.Life, min(p.RSS, at.RSS), min(p.Threads, at.Threads), min(p.FDs, at.FDs), min(p.Goroutines, at.Goroutines)}
		}
		least.Namespaces, least.Links = min(s.Namespaces, least.Namespaces), min(s.Links, least.Links)
		if err := retry.Sleep(ctx, 300*time.Millisecond); err != nil {
			return err
		}
	}
	var err error
	if least.Kinds, err = l.records(ctx); err != nil {
		return err
	}
	least.Records = 0
	for _, n := range least.Kinds {
		least.Records += n
	}
	least.Rest = true
	l.add(least)
	return nil
}

// records counts what is in a copy of the store: the controller does not share it. A
// copy that was taken in the middle of a commit is refused, and taken again.
func (l *lookout) records(ctx context.Context) (kinds map[string]int64, err error) {
	dir, err := os.MkdirTemp("", "nicferry-soak-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "copy")
	err = lab.Until(ctx, "a copy of the store", patience, 50*time.Millisecond, func(ctx context.Context) error {
		data, err := os.ReadFile(l.run.fleet.StorePath())
		if err == nil {
			err = os.WriteFile(path, data, 0o600)
		}
		if err != nil {
			return err
		}
		s, err := boltstore.Open(ctx, path, boltstore.Options{NoSync: true})
		if err != nil {
			return err
		}
		all, _, err := s.List(ctx, "", "", 0)
		kinds = map[string]int64{}
		for _, rec := range all {
			kind, _, _ := strings.Cut(rec.Key, "/")
			kinds[kind]++
		}
		return errors.Join(err, s.Close())
	})
	return kinds, err
}

// processOf reads what the kernel says.
func processOf(pid int) (Process, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	p := Process{RSS: -1, Threads: -1, Goroutines: -1}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return p, err
	}
	for line := range bytes.Lines(status) {
		f := strings.Fields(string(line))
		switch {
		case len(f) == 3 && f[0] == "VmRSS:":
			p.RSS = number(f[1]) << 10
		case len(f) == 2 && f[0] == "Threads:":
			p.Threads = number(f[1])
		}
	}
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	p.FDs = int64(len(fds))
	return p, err
}

// goroutines asks a daemon's metrics.
func goroutines(ctx context.Context, node *lab.Node, port string) (int64, error) {
	// Without a resolver, which a static busybox falls over.
	out, err := node.Run(ctx, "sh", "-ec", `printf 'GET /metrics HTTP/1.0\r\n\r\n' | busybox nc -w 5 127.0.0.1 `+port)
	if err != nil {
		return -1, err
	}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "go_goroutines" {
			return number(f[1]), nil
		}
	}
	return -1, errors.New("it has no go_goroutines")
}

// number is -1 for what is none.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}
