//go:build linux

package promise

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/nic"
)

// A machine is a node, as foreign tools on it see it.
type machine struct {
	run    lab.Runner
	docker func(ctx context.Context, args ...string) (string, error)
}

// linksScript prints a line for each network namespace that a process or a
// mount keeps alive: its inode, or "own", and its interfaces. One that goes
// meanwhile has none. The first line is of the node's VFs. It is one script because a
// guest is slow to start programs.
const linksScript = `printf 'vfs'
for f in /sys/bus/pci/devices/*/physfn; do
	[ ! -e "$f" ] || { f=${f%/physfn}; printf ' %s' "${f##*/}"; }
done
echo
own=$(readlink /proc/self/ns/net)
all=$(lsns --noheadings --raw --type net --output NS,PID,NSFS)
printf '%s\n' "$all" | while read -r ns pid path; do
	case $pid in /*) path=$pid pid=0 ;; esac
	where=$ns
	case $own in *"$ns"*) where=own ;; esac
	if [ "$pid" -gt 0 ]; then
		enter="--target=$pid --net"
	else
		enter=--net=${path%%\\x0a*}
	fi
	links=$(nsenter $enter ip -d -j link 2>/dev/null) || continue
	printf '%s %s\n' "$where" "$links"
done`

// look shows the interfaces in all network namespaces of the node, and the
// containers that run.
func look(ctx context.Context, m machine) (invariant.Node, error) {
	node := invariant.Node{Running: map[string]bool{}}
	ids, err := m.docker(ctx, "ps", "-q", "--no-trunc")
	if err != nil { // the engine may be down on purpose
		node.Running = nil
	}
	for _, id := range strings.Fields(ids) {
		node.Running[id] = true
	}
	out, err := m.run(ctx, "sh", "-ec", linksScript)
	if err != nil {
		return node, fmt.Errorf("look at the node's namespaces: %w", err)
	}
	if !strings.Contains("\n"+out, "\nown ") {
		return node, fmt.Errorf("look at the node's namespaces: its own is not among them: %q", out)
	}
	vfs := map[string]bool{}
	for line := range strings.Lines(out) {
		where, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if where == "vfs" {
			for _, at := range strings.Fields(text) {
				vfs[at] = true
			}
			continue
		}
		free := map[string]bool{}
		if where == "own" {
			where, free = "", vfs
		}
		found, err := parse(where, text, free)
		if err != nil {
			return node, fmt.Errorf("look at the interfaces of namespace %q: %w", where, err)
		}
		node.Links = append(node.Links, found...)
	}
	return node, nil
}

// parse reads links, without those of the free VFs: such a one goes by the MAC that it
// had last until its driver is bound anew, and sends nothing.
func parse(where, text string, free map[string]bool) ([]invariant.Link, error) {
	var all []struct {
		Name    string `json:"ifname"`
		Address string `json:"address"`
		Alias   string `json:"ifalias"`
		Device  string `json:"parentdev"`
		Info    struct {
			Kind string `json:"info_kind"`
		} `json:"linkinfo"`
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, err
	}
	var found []invariant.Link
	for _, l := range all {
		if mac, err := nic.ParseMAC(l.Address); err == nil && !free[l.Device] {
			found = append(found, invariant.Link{Namespace: where, Name: l.Name, MAC: mac, Kind: l.Info.Kind, Alias: l.Alias})
		}
	}
	return found, nil
}
