//go:build linux

package migrate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/lab/fleet"
)

// sampleEvery is how often it is looked where containers run.
const sampleEvery = 20 * time.Millisecond

// A sampler looks where containers have processes, by the kernel's control groups:
// it sees those of an engine that is down as well.
type sampler struct {
	agents []*fleet.Agent
	end    context.CancelFunc
	done   sync.WaitGroup

	mu    sync.Mutex
	names map[string]string // container id: name
	last  map[string][]string
	both  []string
	looks int
}

func newSampler(ctx context.Context, agents []*fleet.Agent) *sampler {
	s := &sampler{agents: agents, names: map[string]string{}}
	ctx, s.end = context.WithCancel(context.WithoutCancel(ctx))
	s.done.Go(func() {
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				s.look(time.Now())
			}
		}
	})
	return s
}

// look notes each name that runs on two machines.
func (s *sampler) look(now time.Time) {
	where := map[string][]string{}
	for _, a := range s.agents {
		for _, id := range running(a) {
			if name := s.name(a, id); name != "" {
				where[name] = append(where[name], a.Name)
			}
		}
	}
	var both []string
	for name, nodes := range where {
		if len(nodes) > 1 && s.still(name, nodes[:len(nodes)-1]) {
			both = append(both, fmt.Sprintf("%s: %s on %s", now.Format("15:04:05.000"), name, strings.Join(nodes, " and ")))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = where
	s.looks++
	s.both = append(s.both, both...)
}

// still looks once more at the machines that were looked at first: between one look
// and the next there may be time enough, on a busy machine, for a container to move.
func (s *sampler) still(name string, nodes []string) bool {
	for _, a := range s.agents {
		if slices.Contains(nodes, a.Name) && !slices.ContainsFunc(running(a), func(id string) bool { return s.name(a, id) == name }) {
			return false
		}
	}
	return true
}

// running are the ids of the machine's containers that have processes.
func running(a *fleet.Agent) []string {
	lists, err := filepath.Glob(filepath.Join("/sys/fs/cgroup", "memory", a.Machine.Name(), "*", "cgroup.procs"))
	if err != nil || len(lists) == 0 { // version 2 has no folder per controller
		lists, _ = filepath.Glob(filepath.Join("/sys/fs/cgroup", a.Machine.Name(), "*", "cgroup.procs"))
	}
	var ids []string
	for _, list := range lists {
		if pids, err := os.ReadFile(list); err == nil && len(pids) > 0 {
			ids = append(ids, filepath.Base(filepath.Dir(list)))
		}
	}
	return ids
}

// name is the container's by its engine's file, which is there before it runs;
// empty if that cannot be read.
func (s *sampler) name(a *fleet.Agent, id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name := s.names[id]; name != "" {
		return name
	}
	text, err := os.ReadFile(filepath.Join(a.Machine.Dir(), "docker", "containers", id, "config.v2.json"))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text), `"Name":"/`)
	name, _, _ := strings.Cut(rest, `"`)
	s.names[id] = name
	return name
}

// where are the machines on which the container runs, as last seen.
func (s *sampler) where(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[name]
}

// wrong is what was seen that must not be.
func (s *sampler) wrong() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.both
}

func (s *sampler) close() {
	s.end()
	s.done.Wait()
}
