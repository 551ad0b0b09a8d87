package version

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFrom(t *testing.T) {
	stamped := &debug.BuildInfo{
		Main:     debug.Module{Version: "v0.3.0"},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}},
	}
	for name, tc := range map[string]struct {
		version, commit string
		build           *debug.BuildInfo
		want            Info
	}{
		"the linker's go first":  {"v1.0.0", "def", stamped, Info{Version: "v1.0.0", Commit: "def"}},
		"else the build's stamp": {"", "", stamped, Info{Version: "v0.3.0", Commit: "abc-dirty"}},
		"go run":                 {"", "", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, Info{Version: "devel"}},
		"nothing known":          {"", "", nil, Info{Version: "devel"}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.want.Go = runtime.Version()
			if diff := cmp.Diff(tc.want, from(tc.version, tc.commit, tc.build)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestGetIsNeverEmpty(t *testing.T) {
	if got := Get(); got.Version == "" || got.Go == "" {
		t.Errorf("got %+v", got)
	}
}
