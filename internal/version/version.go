// Package version says which build this is.
package version

import (
	"runtime"
	"runtime/debug"
)

// Set by the linker and by nothing else:
//
//	go build -ldflags "-X github.com/nicferry/nicferry/internal/version.version=v1.2.3
//	                   -X github.com/nicferry/nicferry/internal/version.commit=0123abc"
//
// Where they are empty the build's own stamp is used.
var version, commit string

// Info is one build.
type Info struct {
	Version string // such as v1.2.3, or "devel"
	Commit  string // the source's; with "-dirty" if it was changed; may be empty
	Go      string // the compiler's version
}

// Get returns this build's.
func Get() Info {
	build, _ := debug.ReadBuildInfo()
	return from(version, commit, build)
}

// from fills in from the build's stamp, which may be nil, what the linker has
// not set.
func from(version, commit string, build *debug.BuildInfo) Info {
	info := Info{Version: version, Commit: commit, Go: runtime.Version()}
	if build != nil && info.Version == "" && build.Main.Version != "(devel)" {
		info.Version = build.Main.Version
	}
	if info.Version == "" {
		info.Version = "devel"
	}
	if build != nil && info.Commit == "" {
		info.Commit = stampedCommit(build)
	}
	return info
}

func stampedCommit(build *debug.BuildInfo) string {
	settings := map[string]string{}
	for _, s := range build.Settings {
		settings[s.Key] = s.Value
	}
	commit := settings["vcs.revision"]
	if commit != "" && settings["vcs.modified"] == "true" {
		commit += "-dirty"
	}
	return commit
}
