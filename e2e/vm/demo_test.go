//go:build linux

package vm

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/internal/lab/story"
)

// demoTime bounds a run of the demo, which takes some three minutes where nothing
// else runs.
const demoTime = 8 * time.Minute

// demo prepares a run of the demo on a lab of its own.
func demo(t *testing.T, args ...string) (cmd *exec.Cmd, dir string) {
	t.Helper()
	return labProgram(t, append([]string{"demo"}, args...)...)
}

// labProgram prepares nicferry-lab, on a lab of its own, in a folder that must be gone in
// the end.
func labProgram(t *testing.T, args ...string) (cmd *exec.Cmd, dir string) {
	t.Helper()
	return labtest.Demo{
		Prefix:   "nf-demo-",
		Programs: func(string) (string, error) { return programs() },
		Down:     cluster.Down,
		Limit:    demoTime,
	}.Command(t, args...)
}

// played runs the demo to its end and returns its figures, what it said and its
// exit code.
func played(t *testing.T, args ...string) (f story.Figures, said string, exit int) {
	t.Helper()
	cmd, _ := demo(t, args...)
	return labtest.Played(t, cmd)
}

func TestDemoOnVirtualMachines(t *testing.T) {
	t.Run("plain", demoShows)
	if long() {
		t.Run("planted", demoSeesAPlantedLeak)
	}
}

func demoShows(t *testing.T) {
	f, said, exit := played(t)
	if exit != 0 {
		t.Fatalf("exit %d, want 0:\n%s", exit, said)
	}
	t.Log(said)
	if len(f.Left) > 0 {
		t.Errorf("left behind: %q", f.Left)
	}
	var told strings.Builder
	for _, s := range f.Steps {
		told.WriteString(s.What + " → " + s.Result + "\n")
	}
	for _, part := range []string{
		"plugged in before its start", "by DHCP", "10.77.1.20 and fd77::20", "all 12 answer", "docker restart",
		"web runs on vm2 alone, with the same MAC", "web runs on vm1 alone, with the same MAC", "0 of 4 hot-plug slots free", "nothing was made for it", "the fifth has its NIC", "six NICs are unplugged", "each time they come and go",
	} {
		if !strings.Contains(told.String(), part) {
			t.Errorf("no step tells of %q:\n%s", part, told.String())
		}
	}
	for _, victim := range []string{"agent", "controller", "libvirtd"} {
		if p := f.Pings[victim]; p.Lost != 0 || p.Received != p.Sent || p.Sent < 500 {
			t.Errorf("%s killed: %s; want none lost of 500 or more", victim, p)
		}
	}
}

// The same through AWS's own SDK, an emulated EC2 that plugs NICs in, throttled
// calls and lost replies; the cloud's own log must show no orphan, and one that is
// planted.
func TestDemoAWS(t *testing.T) { demoOnCloud(t, "--aws", "AssociateAddress") }

// The same through Alibaba Cloud's.
func TestDemoAliyun(t *testing.T) { demoOnCloud(t, "--aliyun", "AssociateEipAddress") }

// demoOnCloud plays the demo on the cloud that a flag names. publishes is what its call is
// named that gives a NIC a public address.
func demoOnCloud(t *testing.T, flag, publishes string) {
	t.Run("plain", func(t *testing.T) {
		f, said, exit := played(t, flag)
		if exit != 0 {
			t.Fatalf("exit %d, want 0:\n%s", exit, said)
		}
		t.Log(said)
		if len(f.Left) > 0 {
			t.Errorf("left behind: %q", f.Left)
		}
		for _, part := range []string{
			"without a call that changes something", "it is the same interface", "web runs on vm2 alone, with the same MAC",
			"web runs on vm1 alone, with the same MAC", "all 12 answer",
			"there is no answer: not by the default route", "and from outside 198.18.", publishes, "none made twice, 0 orphans", "unplugged from both guests",
		} {
			if !strings.Contains(said, part) {
				t.Errorf("it does not tell of %q:\n%s", part, said)
			}
		}
	})
	if !long() {
		return
	}
	t.Run("planted", func(t *testing.T) {
		f, said, exit := played(t, flag, "--plant")
		left := strings.Join(f.Left, "\n")
		if exit != 1 || !strings.Contains(left, "planted0") || !strings.Contains(left, "eni-") {
			t.Errorf("exit %d, left behind %q; want 1, the planted veth and the planted interface:\n%s", exit, f.Left, said)
		}
	})
}

// S1 is fifteen lines, each of which holds.
func TestS1Checklist(t *testing.T) {
	cmd, _ := labProgram(t, "s1")
	labtest.Checklist(t, cmd, 15)
}

// The demo's look into the guests must be able to fail.
func demoSeesAPlantedLeak(t *testing.T) {
	f, said, exit := played(t, "--plant")
	if exit != 1 {
		t.Errorf("exit %d, want 1:\n%s", exit, said)
	}
	if !strings.Contains(strings.Join(f.Left, "\n"), "planted0") {
		t.Errorf("left behind: %q, want the planted veth", f.Left)
	}
}

// Ctrl-C while the guests boot leaves no process and no file.
func TestDemoOnVirtualMachinesInterrupted(t *testing.T) {
	cmd, dir := demo(t)
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "guests run kernel") {
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v, want exit code 1", err)
	}
	if !strings.Contains(said.String(), "interrupted") {
		t.Errorf("it says %q", said.String())
	}
	labtest.NoProcessOf(t, dir)
}
