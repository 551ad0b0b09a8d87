//go:build linux

package lab_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// victimDir makes this test binary a process that starts a lab and waits to be
// killed.
const victimDir = "NICFERRY_LAB_TEST_VICTIM"

func victim(parent string) {
	ctx := context.Background()
	n, err := lab.Start(ctx, lab.Options{Dir: parent})
	if err == nil {
		_, err = n.Segment(ctx, lab.SegmentOptions{})
	}
	if err == nil {
		_, err = n.Engine.Image(ctx)
	}
	if err == nil {
		_, err = n.Docker(ctx, "run", "--detach", "--network=none", lab.ImageName)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(n.Dir())
	select {}
}

func TestNothingSurvivesSIGKILL(t *testing.T) {
	t.Parallel()
	netnstest.RequireRoot(t)
	parent := t.TempDir()
	machine, err := lab.Machine(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimDir+"="+parent)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("victim did not start: %v, %v", err, cmd.Wait())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // "signal: killed"
	dir := strings.TrimSpace(line)
	awaitNoProcess(t, dir)
	if len(cgroups(t, dir)) == 0 {
		t.Fatal("the victim has no control groups: the sweep has nothing to do")
	}

	// The next start removes what the kernel does not.
	if n := start(t, lab.Options{Dir: parent, NoEngine: true}); n.Dir() == dir {
		t.Fatal("same directory again")
	}
	assertNothingLeft(t, machine, dir)
}

// A live node's files are not a killed one's.
func TestSweepSparesTheLiving(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	a := start(t, lab.Options{Dir: parent, NoEngine: true})
	b := start(t, lab.Options{Dir: parent, NoEngine: true})
	for _, n := range []*lab.Node{a, b} {
		if run(t, n, "ls", n.Dir()) == "" {
			t.Errorf("%s is empty", n.Dir())
		}
	}
}

// awaitNoProcess waits until the kernel has ended all whose command line names
// dir.
func awaitNoProcess(t *testing.T, dir string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		s, err := lab.Machine(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(s["machine processes"]) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("alive after a minute: %v", s["machine processes"])
		}
	}
}

// cgroups lists the control groups of the node with this directory.
func cgroups(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	for _, hierarchy := range []string{"", "*"} { // version 2 and version 1
		paths, err := filepath.Glob(filepath.Join("/sys/fs/cgroup", hierarchy, filepath.Base(dir)))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, paths...)
	}
	return all
}
