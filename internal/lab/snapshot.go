//go:build linux

package lab

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// A Snapshot is what tools that are not ours show of a machine: by section,
// such as "node links", one line per thing, without what changes by itself.
type Snapshot map[string][]string

// runner prepares a program to run where a snapshot is taken.
type runner func(ctx context.Context, name string, args ...string) *exec.Cmd

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
	if err := s.addNetwork(ctx, "machine", outside); err != nil {
		return nil, err
	}
	if mark == "" {
		return s, nil
	}
	if err := s.addProcesses(ctx, "machine", outside, mark); err != nil {
		return nil, err
	}
	return s, s.addNamespaces(ctx, "machine", outside, mark)
}

// Snapshot looks at the node's network, at all its processes and network
// namespaces, and at its engine's containers.
func (n *Node) Snapshot(ctx context.Context) (Snapshot, error) {
	s := Snapshot{}
	if err := s.addNetwork(ctx, "node", n.Command); err != nil {
		return nil, err
	}
	if err := s.addProcesses(ctx, "node", n.Command, ""); err != nil {
		return nil, err
	}
	if err := s.addNamespaces(ctx, "node", n.Command, ""); err != nil {
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

// Leftovers compares the node with an earlier snapshot until nothing differs
// or patience is over: a process, and with it a namespace, may need a moment to
// go. It returns what differs in the end.
func (n *Node) Leftovers(ctx context.Context, before Snapshot, patience time.Duration) ([]string, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; {
		after, err := n.Snapshot(ctx)
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
