//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/sriov"
	"github.com/nicferry/nicferry/sriov/naming"
	"github.com/nicferry/nicferry/sriov/sysfs"
	"github.com/nicferry/nicferry/sriov/sysfs/sysfstest"
)

// run types a command below nicferry-agent sriov on the machine.
func run(t *testing.T, m *sysfstest.Machine, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := sriovCommand(sysfs.Options{
		Root: m.Root(), State: filepath.Join(m.Root(), "run"), Write: m.Write,
		Elsewhere: func() (map[sriov.Address]string, error) {
			return map[sriov.Address]string{"0000:01:10.2": "container 0123456789ab"}, nil
		},
	}, func(_ context.Context, _ string, list func() ([]sriov.PF, error), numbering sriov.Numbering) (r naming.Result, err error) {
		pfs, err := list()
		if err != nil {
			return r, err
		}
		names, err := numbering.Names(pfs)
		for _, a := range slices.Sorted(maps.Keys(names)) {
			r.Kept = append(r.Kept, string(a)+" would be "+names[a])
		}
		return r, err
	})
	var out, errs bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.ExecuteContext(t.Context())
	if err != nil {
		errs.WriteString(err.Error())
	}
	coded, isCoded := errors.AsType[daemon.CodedError](err)
	_, usage := errors.AsType[daemon.UsageError](err)
	switch {
	case isCoded:
		code = coded.Code
	case usage:
		code = daemon.ExitUsage
	case err != nil:
		code = daemon.ExitFailed
	}
	return out.String(), errs.String(), code
}

// S0-3, S0-4 as commands: what is there, what would be done, that it is done, and
// what is refused.
func TestSRIOVCommands(t *testing.T) {
	t.Parallel()
	netnstest.RequireRoot(t) // the command refuses to change anything without
	m := sysfstest.New(
		t,
		sysfstest.Card{Name: "ens1f0", Address: "0000:01:00.0", TotalVFs: 7, Down: true},
		sysfstest.Card{Name: "ens2f0", Address: "0000:02:00.0", TotalVFs: 7, IOMMU: true, NUMA: 1},
		sysfstest.Card{Name: "ens3f0", Address: "0000:03:00.0", TotalVFs: 7, Refuse: unix.ENOSPC},
	)
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{
			"enable ens1f0 --vfs 9 --dry-run", 0,
			"ip link set ens1f0 up\necho 7 > /sys/bus/pci/devices/0000:01:00.0/sriov_numvfs\n" +
				"# 9 VFs were asked for, and 7 is the most that ens1f0 (0000:01:00.0) can have\n" +
				"# the machine has no IOMMU switched on: VFs serve containers, and neither virtual machines nor programs in user space\n", "",
		},
		{"enable ens1f0 --vfs 2", 0, "ens1f0 (0000:01:00.0) has 2 VFs\n", "switch ens1f0 on\nmake 2 VFs of ens1f0 (0000:01:00.0)\n"},
		{"enable ens1f0 --vfs 2 --dry-run", 0, "nothing to do: ens1f0 (0000:01:00.0) has 2 VFs\n", ""},
		{"enable ens3f0 --vfs 2", 4, "", "no room for so many VFs: ens3f0 (0000:03:00.0) has not enough interrupts"},
		{"enable ens9 --vfs 2", 1, "", "no such card"},
		{"enable ens1f0", 2, "", "want --vfs N"},
		{"enable ens1f0 --vfs -1", 2, "", "want --vfs N"},
		{"enable --vfs 2", 2, "", "want one card with --vfs N, or --config FILE for all that it lists, got 0 arguments"},
		{"enable", 2, "", "got 0 arguments"},
		{"list -o yaml", 2, "", "want table or json"},
		{"list all", 2, "", `unknown argument "all"`},
		{"lits", 2, "", `unknown command "lits"; see nicferry-agent sriov --help`},
	} {
		stdout, stderr, code := run(t, m, strings.Fields(c.args)...)
		if code != c.code || !strings.HasPrefix(stdout, c.stdout) || c.stdout == "" && stdout != "" || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%s: exit %d, want %d\n%s%s", c.args, code, c.code, stdout, stderr)
		}
	}
	m.Take("0000:01:10.2")
	if _, stderr, code := run(t, m, "enable", "ens1f0", "--vfs", "4"); code != 4 || !strings.Contains(stderr, "VF 1, 0000:01:10.2, is in use by container 0123456789ab") {
		t.Errorf("under a container: exit %d\n%s", code, stderr)
	}
	m.Others("0000:02:00.0", 1)
	stdout, _, code := run(t, m, "list")
	want := `CARD   PCI            INTERFACE   DRIVER   NUMA   IOMMU   LINK          STATE
PF1    0000:01:00.0   ens1f0      igb      -      -       no carrier    2 of 7 VFs
VF11   0000:01:10.0   ens1f0v0    igbvf    -      -       down          free
VF12   0000:01:10.2   -           igbvf    -      -       down          in use by container 0123456789ab
PF2    0000:02:00.0   ens2f0      igb      1      0       1000 Mbit/s   1 of 7 VFs, made by others
VF21   0000:02:10.0   ens2f0v0    igbvf    1      1       down          free
PF3    0000:03:00.0   ens3f0      igb      -      -       1000 Mbit/s   0 of 7 VFs
`
	if code != 0 || stdout != want {
		t.Errorf("list: exit %d\n%s\nwant\n%s", code, stdout, want)
	}
	stdout, _, code = run(t, m, "list", "-o", "json")
	var all api.List[sriov.PF]
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || code != 0 || len(all.Items) != 3 || all.Items[0].VFs[1].Use.How != sriov.Elsewhere || !all.Items[0].Ours {
		t.Errorf("list -o json: exit %d, %v\n%s", code, err, stdout)
	}
}

// A machine without such cards is told so, and is an empty list to programs.
func TestSRIOVListOfNothing(t *testing.T) {
	t.Parallel()
	m := sysfstest.New(t)
	if stdout, _, code := run(t, m, "list"); code != 0 || !strings.HasPrefix(stdout, "no card with SR-IOV") {
		t.Errorf("exit %d\n%s", code, stdout)
	}
	if stdout, _, code := run(t, m, "list", "-o", "json"); code != 0 || strings.TrimSpace(stdout) != "{\n  \"items\": []\n}" {
		t.Errorf("exit %d\n%s", code, stdout)
	}
}

// S0-3 at boot: all cards that the config lists, each whatever becomes of the others,
// with all that is wrong told at once; asked again nothing is done.
func TestCardsOfTheConfig(t *testing.T) {
	t.Parallel()
	netnstest.RequireRoot(t)
	m := sysfstest.New(
		t,
		sysfstest.Card{Name: "ens1f0", Address: "0000:01:00.0", TotalVFs: 7},
		sysfstest.Card{Name: "ens2f0", Address: "0000:02:00.0", TotalVFs: 7},
		sysfstest.Card{Name: "ens3f0", Address: "0000:03:00.0", TotalVFs: 7, Refuse: unix.ENOSPC},
		sysfstest.Card{Name: "ens4f0", Address: "0000:04:00.0", TotalVFs: 7},
		sysfstest.Card{Name: "ens5f0", Address: "0000:05:00.0", TotalVFs: 7},
	)
	m.Others("0000:04:00.0", 3)
	m.Others("0000:05:00.0", 1)
	file := filepath.Join(t.TempDir(), "agent.yaml")
	write := func(cards string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("version: 1\nnode: n1\nsriov: {cards: "+cards+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`[{pf: ens2f0, vfs: 2}, {pf: "0000:01:00.0", vfs: 1}, {pf: ens4f0, vfs: 2}, {pf: ens5f0}]`)
	stdout, stderr, code := run(t, m, "enable", "--config", file, "--dry-run")
	if code != 0 || !strings.Contains(stdout, "echo 2 > /sys/bus/pci/devices/0000:02:00.0/sriov_numvfs\n") ||
		!strings.Contains(stdout, "echo 1 > /sys/bus/pci/devices/0000:01:00.0/sriov_numvfs\n") || len(m.Writes()) > 0 {
		t.Errorf("dry run: exit %d, %q\n%s%s", code, m.Writes(), stdout, stderr)
	}
	const has = "ens2f0 (0000:02:00.0) has 2 VFs\nens1f0 (0000:01:00.0) has 1 VFs\nens4f0 (0000:04:00.0) has 3 VFs\n"
	const named = "0000:01:10.0 would be VF21\n0000:02:10.0 would be VF11\n0000:02:10.2 would be VF12\n0000:04:10.0 would be VF31\n" +
		"0000:04:10.2 would be VF32\n0000:04:10.4 would be VF33\n0000:05:10.0 would be VF41\n"
	stdout, stderr, code = run(t, m, "enable", "--config", file)
	if code != 0 || stdout != has || !strings.HasSuffix(stderr, named) || !strings.Contains(stderr, "others made 3 VFs of ens4f0") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	before := len(m.Writes())
	if stdout, stderr, code = run(t, m, "enable", "--config", file); code != 0 || stdout != has || len(m.Writes()) != before {
		t.Errorf("again: exit %d\n%s%s", code, stdout, stderr)
	}
	// Another number under the same numbering, and the list in its words.
	if _, stderr, code = run(t, m, "enable", "ens1f0", "--vfs", "2", "--config", file); code != 0 || !strings.Contains(stderr, "0000:01:10.2 would be VF22\n") {
		t.Errorf("one card: exit %d\n%s", code, stderr)
	}
	if stdout, _, code = run(t, m, "list", "--config", file); code != 0 || !strings.Contains(stdout, "\nPF2    0000:01:00.0") || !strings.Contains(stdout, "\nVF12   0000:02:10.2") {
		t.Errorf("list: exit %d\n%s", code, stdout)
	}
	// All faults at once; what can be had is had.
	write("[{pf: ens9, vfs: 1}, {pf: ens3f0, vfs: 2}, {pf: ens5f0, vfs: 4}, {pf: ens2f0, vfs: 2}, {pf: 02:00.0, vfs: 2}]")
	stdout, stderr, code = run(t, m, "enable", "--config", file)
	for _, want := range []string{"no interface is called ens9", "no room for so many VFs: ens3f0", "others made these VFs: ens5f0", "ens2f0 and 0000:02:00.0 are one card"} {
		if code != daemon.ExitFailed || !strings.Contains(stderr, want) || stdout != "ens2f0 (0000:02:00.0) has 2 VFs\n" {
			t.Errorf("exit %d, want %q\n%s%s", code, want, stdout, stderr)
		}
	}
	write("[{pf: ens3f0, vfs: 2}, {pf: ens5f0, vfs: 4}]")
	if _, stderr, code = run(t, m, "enable", "--config", file); code != daemon.ExitRefused {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	write("[]")
	if stdout, _, code = run(t, m, "enable", "--config", file); code != 0 || stdout != "nothing to make: "+file+" lists no card with vfs\n" {
		t.Errorf("exit %d\n%s", code, stdout)
	}
	write("[{pf: ens 1}]")
	if _, stderr, code = run(t, m, "enable", "--config", file); code != daemon.ExitUsage || !strings.Contains(stderr, "sriov.cards[0].pf") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	if stdout, stderr, code = run(t, m, "list", "--config", file); code != 0 || !strings.Contains(stdout, "PF1    0000:01:00.0") || !strings.Contains(stderr, "sriov.cards[0].pf") {
		t.Errorf("list: exit %d\n%s%s", code, stdout, stderr)
	}
	if _, stderr, code = run(t, m, "enable", "--config", file+".none"); code != daemon.ExitUsage || !strings.Contains(stderr, "examples/agent.yaml") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
}
