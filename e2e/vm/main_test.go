//go:build linux

package vm

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/guest/guesttest"
	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/internal/lab/promise"
)

// labDir spares who works on one test the boot of the guests.
var labDir = flag.String("lab", "", "use the lab that 'nicferry-lab up' brought up there, with its programs, and leave it up")

// What all tests share. The first test that needs it makes it, TestMain takes it
// away.
var (
	programs = sync.OnceValues(build)
	bringUp  = sync.OnceValues(up)
	takeDown = sync.OnceValue(down)
	// strangers are the cards of the guests that are not ours, as they are before
	// the first test.
	strangers = sync.OnceValues(func() (map[string]string, error) { return promise.Strangers(context.Background(), theLab) })
	home      string // the folder of all that is made
	theLab    *cluster.Cluster
)

const homePrefix = "nicferry-vm-"

// The folders, in home, of the lab that tests share and of that of one test alone.
const sharedLab, ownLab = "lab", "own"

// downs takes down the labs that a run with this home has made.
func downs(home string) error {
	return errors.Join(cluster.Down(context.Background(), filepath.Join(home, sharedLab)), cluster.Down(context.Background(), filepath.Join(home, ownLab)))
}

// TestMain runs the tests. In a spare guest this program is the first service.
func TestMain(m *testing.M) {
	// libvirt knows no end of its event loop.
	guesttest.Main(suite{m}, goleak.IgnoreAnyFunction("github.com/nicferry/nicferry/internal/virt.runLoop"))
}

// A suite is all tests with what they share.
type suite struct{ tests *testing.M }

// Run runs the tests. However it ends, nothing is left of the lab: what a
// process that was killed has left goes before the next run.
func (s suite) Run() int {
	flag.Parse()
	var err error
	if err = sweep(); err == nil {
		home, err = os.MkdirTemp("", homePrefix+strconv.Itoa(os.Getpid())+"-")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	stop := guard()
	code := s.tests.Run()
	stop()
	if err := takeDown(); err != nil {
		fmt.Fprintln(os.Stderr, "take the lab down:", err)
		code = 1
	}
	return code
}

// lastWords is how long before go test's -timeout the lab is taken down.
const lastWords = 45 * time.Second

// guard takes the lab down where the process would be ended before its time, by
// a signal or by go test's -timeout, until stop is called.
func guard() (stop func()) {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	late := func() {}
	if limit, ok := flag.Lookup("test.timeout").Value.(flag.Getter).Get().(time.Duration); ok && limit > 2*lastWords {
		timer := time.AfterFunc(limit-lastWords, func() {
			fmt.Fprintf(os.Stderr, "tests run for %s, which is all but %s of their time\n", limit-lastWords, lastWords)
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
			quit()
		})
		late = func() { timer.Stop() }
	}
	var done sync.WaitGroup
	over := make(chan struct{})
	done.Go(func() {
		select {
		case <-over:
		case <-ctx.Done():
			quit()
		}
	})
	return func() {
		late()
		close(over)
		done.Wait()
		release()
	}
}

func quit() {
	if err := takeDown(); err != nil {
		fmt.Fprintln(os.Stderr, "take the lab down:", err)
	}
	os.Exit(1)
}

// sweep takes away what killed runs have left.
func sweep() error {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), homePrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range left {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), homePrefix), "-")
		if _, err := os.Stat(filepath.Join("/proc", pid)); err == nil {
			continue
		}
		if err := errors.Join(stopPerson(dir), downs(dir), os.RemoveAll(dir)); err != nil {
			return fmt.Errorf("sweep %s: %w", dir, err)
		}
	}
	return nil
}

// build builds the programs and returns their folder.
func build() (string, error) {
	bin := filepath.Join(home, "bin")
	if err := labtest.BuildForVMs(filepath.Join("..", ".."), bin); err != nil {
		return "", err
	}
	return bin, nil
}

// bootTime bounds the making of the lab; see cluster for how long its parts take.
const bootTime = 5 * time.Minute

// up makes the lab of all tests, or finds the one that -lab names.
func up() (*cluster.Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), bootTime)
	defer cancel()
	var err error
	if *labDir != "" {
		theLab, err = cluster.Find(ctx, *labDir)
		return theLab, err
	}
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	theLab, err = cluster.Up(ctx, cluster.Options{
		Dir: filepath.Join(home, sharedLab), Nodes: 2, Ports: 16, Bin: bin,
		Program: filepath.Join(bin, "nicferry-lab"), Out: os.Stderr,
	})
	return theLab, err
}

// down leaves nothing of what was made.
func down() error {
	var err error
	if theLab != nil {
		err = theLab.Close()
	}
	return errors.Join(err, stopPerson(home), downs(home), os.RemoveAll(home))
}
