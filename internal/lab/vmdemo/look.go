//go:build linux

package vmdemo

import (
	"context"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/promise"
)

// What is compared, for people.
const (
	labLooks = "links, addresses, routes, rules, bridge entries, namespaces, mounts, processes, leases, virsh list and dumpxml,\n" +
		"            and in each guest PCI devices, interrupts and containers too"
	machineLooks = "links, addresses, routes, rules, bridge entries, namespaces, mounts, processes, and libvirt's files"
)

// libvirtFolders are those of the machine's libvirt, of which the lab has its own.
var libvirtFolders = []string{"/etc/libvirt", "/run/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt"}

// machine looks at the user's machine, where all that is the lab's names its
// directory.
func (s *show) machine(ctx context.Context) (lab.Snapshot, error) {
	shot, err := lab.Machine(ctx, s.dir)
	if err != nil {
		return nil, err
	}
	if err := shot.AddLines(ctx, "machine mounts", lab.Outside, "cat", "/proc/self/mounts"); err != nil {
		return nil, err
	}
	// Others' mounts come and go.
	keep := func(line string) bool { return strings.Contains(line, s.dir) || strings.Contains(line, "libvirt") }
	shot["machine mounts"] = slices.DeleteFunc(shot["machine mounts"], func(line string) bool { return !keep(line) })
	// The lab's own directory, and what is below libvirt's.
	const script = `for d; do find "$d" -printf '%M %u:%g %p\n' 2>/dev/null || true; done; find /etc/libvirt -type f -exec cksum {} + 2>/dev/null || true`
	args := append([]string{"-c", script, "sh", s.dir}, libvirtFolders...)
	return shot, shot.AddLines(ctx, "machine files", lab.Outside, "sh", args...)
}

// look looks at the lab: at the machine that the guests run on, and at each
// guest, with tools that are not ours.
func (s *show) look(ctx context.Context) (lab.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	shots := make([]lab.Snapshot, 1+len(s.guests()))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		shots[0], err = s.lookAtHost(ctx)
		return err
	})
	for i, guest := range s.guests() {
		group.Go(func() (err error) {
			shots[1+i], err = s.lookIntoGuest(ctx, guest)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := lab.Snapshot{}
	for _, shot := range shots {
		maps.Copy(all, shot)
	}
	return all, nil
}

func (s *show) lookAtHost(ctx context.Context) (lab.Snapshot, error) {
	shot, run := lab.Snapshot{}, s.lab.Host().Run
	onLAN := func(ctx context.Context, name string, args ...string) (string, error) {
		return run(ctx, "ip", append([]string{"netns", "exec", cluster.LAN, name}, args...)...)
	}
	if err := shot.AddNetwork(ctx, "host", run); err != nil {
		return nil, err
	}
	if err := shot.AddNetwork(ctx, "LAN", onLAN); err != nil {
		return nil, err
	}
	if err := shot.AddProcesses(ctx, "host", run, ""); err != nil {
		return nil, err
	}
	if err := shot.AddNamespaces(ctx, "host", run, ""); err != nil {
		return nil, err
	}
	virsh := func(args ...string) []string { return append([]string{"virsh"}, s.virsh(args)...) }
	looks := map[string][]string{
		"host mounts":      {"cat", "/proc/self/mounts"},
		"host leases":      {"cat", s.dir + "/leases"},
		"virsh list --all": virsh("list", "--all"),
		"virsh net-list":   virsh("net-list", "--all"),
	}
	for _, guest := range s.guests() {
		looks["virsh dumpxml "+guest] = virsh("dumpxml", guest)
		looks["virsh dumpxml --inactive "+guest] = virsh("dumpxml", "--inactive", guest)
	}
	for section, args := range looks {
		if err := shot.AddLines(ctx, section, run, args[0], args[1:]...); err != nil {
			return nil, err
		}
	}
	return shot, nil
}

// promises demands that what must always hold does.
func (s *show) promises(ctx context.Context) error {
	return promise.Await(ctx, promise.Options{
		Config: filepath.Join(s.dir, "nicferryd.yaml"), Cluster: s.lab, Strangers: s.strangers,
	}, goTime)
}

// virsh is virsh's arguments for the lab's libvirtd.
func (s *show) virsh(args []string) []string {
	return append([]string{"-c", s.lab.Host().URI()}, args...)
}

// freeVF is the MAC in a line about the interface of a free VF. Until its driver is bound
// anew, which its next owner sees to, it goes by the last one, and the PF lets it send
// with none but its own.
var freeVF = regexp.MustCompile(`"address":"[0-9a-f:]{17}",(.*"ifname":"VF\d+")`)

func (s *show) lookIntoGuest(ctx context.Context, guest string) (lab.Snapshot, error) {
	shot, run := lab.Snapshot{}, s.inGuest(guest)
	if err := shot.AddNetwork(ctx, guest, run); err != nil {
		return nil, err
	}
	for _, section := range []string{guest + " links", guest + " addresses"} {
		for i, line := range shot[section] {
			shot[section][i] = freeVF.ReplaceAllString(line, "$1")
		}
	}
	if err := shot.AddProcesses(ctx, guest, run, ""); err != nil {
		return nil, err
	}
	// The kernel's own threads come and go.
	processes := guest + " processes"
	shot[processes] = slices.DeleteFunc(shot[processes], func(line string) bool { return strings.HasPrefix(line, "[") })
	if err := shot.AddNamespaces(ctx, guest, run, ""); err != nil {
		return nil, err
	}
	for section, args := range map[string][]string{
		" PCI devices": {"ls", "/sys/bus/pci/devices"},
		" interrupts":  {"awk", `/PCI|virtio/ {print $(NF-2), $(NF-1), $NF}`, "/proc/interrupts"},
		" mounts":      {"cat", "/proc/self/mounts"},
		" containers":  {"docker", "ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}"},
	} {
		if err := shot.AddLines(ctx, guest+section, run, args[0], args[1:]...); err != nil {
			return nil, err
		}
	}
	return shot, nil
}
