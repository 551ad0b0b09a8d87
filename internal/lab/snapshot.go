//go:build linux

package lab

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Snapshot is what tools that are not ours show of a machine: by section,
// such as "node links", one line per thing, without what changes by itself.
type Snapshot map[string][]string

// A Runner runs a program where a snapshot is taken and returns what it prints.
type Runner func(ctx context.Context, name string, args ...string) (string, error)

// network lists the looks at a network namespace, all of which print JSON.
var network = []struct {
	section string
	command []string
	drop    func(map[string]any) bool
}{
	{"links", []string{"ip", "-d", "-j", "link"}, nil},
	{"addresses", []string{"ip", "-j", "addr"}, nil},
	{"routes", []string{"ip", "-4", "-j", "route", "show", "table", "all"}, nil},
	{"IPv6 routes", []string{"ip", "-6", "-j", "route", "show", "table", "all"}, nil},
	{"rules", []string{"ip", "-4", "-j", "rule"}, nil},
	{"IPv6 rules", []string{"ip", "-6", "-j", "rule"}, nil},
	{"bridge entries", []string{"bridge", "-j", "fdb"}, isLearned},
}

// Machine looks at the machine's own network, and for processes and network
// namespaces whose command line names mark: of other processes and namespaces
// a machine in use has new ones every second. An empty mark looks for none.
func Machine(ctx context.Context, mark string) (Snapshot, error) {
	s := Snapshot{}
	if err := s.AddNetwork(ctx, "machine", Outside); err != nil {
		return nil, err
	}
	if mark == "" {
		return s, nil
	}
	if err := s.AddProcesses(ctx, "machine", Outside, mark); err != nil {
		return nil, err
	}
	return s, s.AddNamespaces(ctx, "machine", Outside, mark)
}

// Outside is the Runner of the machine itself.
func Outside(ctx context.Context, name string, args ...string) (string, error) {
	return output(outside(ctx, name, args...), name, args)
}

// Snapshot looks at the node's network, at all its processes and network
// namespaces, and at its engine's containers.
func (n *Node) Snapshot(ctx context.Context) (Snapshot, error) {
	s := Snapshot{}
	if err := s.AddNetwork(ctx, "node", n.Run); err != nil {
		return nil, err
	}
	if err := s.AddProcesses(ctx, "node", n.Run, ""); err != nil {
		return nil, err
	}
	if err := s.AddNamespaces(ctx, "node", n.Run, ""); err != nil {
		return nil, err
	}
	if n.Engine == nil {
		return s, nil
	}
	out, err := n.Docker(ctx, "ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Image}} {{.State}}")
	if err != nil {
		return nil, fmt.Errorf("take snapshot of node containers: %w", err)
	}
	s["node containers"] = lines(out)
	return s, nil
}

// Leftovers compares the node with an earlier snapshot; see the function of
// that name.
func (n *Node) Leftovers(ctx context.Context, before Snapshot, patience time.Duration) ([]string, error) {
	return Leftovers(ctx, before, n.Snapshot, patience)
}

// Leftovers takes snapshots until nothing differs from an earlier one or
// patience is over: a process, and with it a namespace, may need a moment to
// go. It returns what differs in the end.
func Leftovers(ctx context.Context, before Snapshot, take func(context.Context) (Snapshot, error), patience time.Duration) ([]string, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; {
		after, err := take(ctx)
		if err != nil {
			return nil, err
		}
		diff := Diff(before, after)
		if len(diff) == 0 || time.Now().After(end) {
			return diff, nil
		}
		<-tick.C
	}
}

// Diff lists what only one of the snapshots has: "+" is new, "-" is missing.
func Diff(before, after Snapshot) []string {
	sections := slices.Sorted(maps.Keys(before))
	for section := range after {
		if _, ok := before[section]; !ok {
			sections = append(sections, section)
		}
	}
	slices.Sort(sections)
	var diff []string
	for _, section := range sections {
		count := map[string]int{}
		for _, line := range after[section] {
			count[line]++
		}
		for _, line := range before[section] {
			count[line]--
		}
		for _, line := range slices.Sorted(maps.Keys(count)) {
			for n := count[line]; n > 0; n-- {
				diff = append(diff, fmt.Sprintf("%s: + %s", section, line))
			}
			for n := count[line]; n < 0; n++ {
				diff = append(diff, fmt.Sprintf("%s: - %s", section, line))
			}
		}
	}
	return diff
}

// lines splits what a program printed, without empty lines, sorted.
func lines(out string) []string {
	var all []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	slices.Sort(all)
	return all
}
