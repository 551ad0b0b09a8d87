//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// AddNetwork adds what iproute2 shows of a network namespace.
func (s Snapshot) AddNetwork(ctx context.Context, where string, run Runner) error {
	for _, look := range network {
		section := where + " " + look.section
		out, err := run(ctx, look.command[0], look.command[1:]...)
		if err != nil {
			return fmt.Errorf("take snapshot of %s: %w", section, err)
		}
		if s[section], err = normalize(out, look.drop); err != nil {
			return fmt.Errorf("take snapshot of %s: %w", section, err)
		}
	}
	return nil
}

// AddProcesses adds the command lines that contain mark, but for ps's own.
func (s Snapshot) AddProcesses(ctx context.Context, where string, run Runner, mark string) error {
	args := []string{"-e", "-ww", "-o", "args="}
	out, err := run(ctx, "ps", args...)
	if err != nil {
		return fmt.Errorf("take snapshot of %s processes: %w", where, err)
	}
	own := "ps " + strings.Join(args, " ")
	s[where+" processes"] = slices.DeleteFunc(lines(out), func(line string) bool {
		return strings.HasSuffix(line, own) || !strings.Contains(line, mark)
	})
	return nil
}

// AddNamespaces adds the network namespaces that processes or mounts keep alive
// and whose description contains mark.
func (s Snapshot) AddNamespaces(ctx context.Context, where string, run Runner, mark string) error {
	args := []string{"--json", "--type", "net", "--output", "NSFS,COMMAND"}
	out, err := run(ctx, "lsns", args...)
	if err != nil {
		return fmt.Errorf("take snapshot of %s namespaces: %w", where, err)
	}
	var list struct {
		Namespaces []struct {
			NSFS    string `json:"nsfs"`
			Command string `json:"command"`
		} `json:"namespaces"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return fmt.Errorf("take snapshot of %s namespaces: %w", where, err)
	}
	namespaces := []string{}
	for _, ns := range list.Namespaces {
		line := fmt.Sprintf("at %q held by %q", ns.NSFS, ns.Command)
		if strings.Contains(line, mark) {
			namespaces = append(namespaces, line)
		}
	}
	slices.Sort(namespaces)
	s[where+" namespaces"] = namespaces
	return nil
}

// AddLines adds the lines that a program prints, in no order.
func (s Snapshot) AddLines(ctx context.Context, section string, run Runner, name string, args ...string) error {
	out, err := run(ctx, name, args...)
	if err != nil {
		return fmt.Errorf("take snapshot of %s: %w", section, err)
	}
	s[section] = lines(out)
	return nil
}

// normalize turns iproute2's JSON into one line per object, without what
// changes by itself and without those that drop says are passing.
func normalize(out string, drop func(map[string]any) bool) ([]string, error) {
	var objects []map[string]any
	if strings.TrimSpace(out) == "" { // iproute2 prints nothing for an empty list of some kinds
		return nil, nil
	}
	if err := json.Unmarshal([]byte(out), &objects); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	all := []string{}
	for _, object := range objects {
		if len(object) == 0 || drop != nil && drop(object) {
			continue
		}
		line, err := json.Marshal(strip(object))
		if err != nil {
			return nil, fmt.Errorf("write JSON: %w", err)
		}
		all = append(all, string(line))
	}
	slices.Sort(all)
	return all, nil
}

// strip removes what changes by itself: numbers that the kernel deals out,
// clocks, and states that it tells late.
func strip(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if isPassing(key) {
				delete(v, key)
				continue
			}
			v[key] = strip(value)
		}
	case []any:
		v = slices.DeleteFunc(v, func(item any) bool {
			return item == "LOWER_UP" || item == "NO-CARRIER" || item == "linkdown"
		})
		for i, item := range v {
			v[i] = strip(item)
		}
		return v
	}
	return v
}

func isPassing(key string) bool {
	switch key {
	case "ifindex", "link_index", "link_netnsid",
		"valid_life_time", "preferred_life_time", "expires", "used", "updated",
		"operstate", "tentative":
		return true
	}
	return strings.HasSuffix(key, "_timer")
}

// isLearned says whether a bridge learned the entry from traffic. Such an
// entry comes and goes by itself, and goes with its bridge.
func isLearned(entry map[string]any) bool {
	flags, _ := entry["flags"].([]any)
	return entry["state"] != "permanent" && len(flags) == 0
}
