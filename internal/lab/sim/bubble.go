//go:build linux

package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
)

// PlayHere plays a run in this process, writes its result to the file at path, and ends
// the process.
//
// The allocator takes its time from package time, as all do that it stands on. The one
// clock that moves on by itself when nothing is left to do, for all of these at once, is
// that of testing/synctest, and only a test can enter its bubble. So this process becomes
// one: Main is how test programs were started before `go test` did more.
func PlayHere(opts Options, path string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(1)
	}
	if err := flag.CommandLine.Parse(nil); err != nil { // which are not those of tests
		fail(err)
	}
	os.Stdout = os.Stderr // for what a test program says at its end
	play := func(t *testing.T) {
		var result Result
		synctest.Test(t, func(t *testing.T) {
			var err error
			if result, err = play(t.Context(), opts, os.Stderr); err != nil {
				fail(err)
			}
		})
		text, err := json.Marshal(result)
		if err == nil {
			err = os.WriteFile(path, text, 0o644)
		}
		if err != nil {
			fail(err)
		}
	}
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "sim", F: play}}, nil, nil)
}
