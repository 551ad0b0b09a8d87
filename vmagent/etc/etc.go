//go:build linux

// Package etc writes a container's name servers and its own addresses into the
// files that Docker mounts into it as /etc/resolv.conf and /etc/hosts.
//
// The files are Docker's, and the container can write them too. So they are
// changed in place, as a bind mount shows one inode for ever; what is ours is
// between two marker lines; and nothing in them is trusted. Docker writes them
// anew at every start of the container, so they are looked at again after each.
package etc

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
)

// Files are the paths of a container's files, as the engine's inspect gives
// them, and only if they are Docker's own: a file that the user has mounted
// over one may be the machine's. An empty path is left out. The directories on
// the way must be root's.
type Files struct {
	ResolvConf string
	Hosts      string
}

// Wanted is what a container shall find in its files.
type Wanted struct {
	// Servers are asked in this order: at most MaxServers. The file's other
	// servers are turned off while there are some here, because a resolver may
	// ask all at once and take the first answer. Without any, the file's hold.
	Servers []netip.Addr
	// Search are the domains that short names are looked for in, at most
	// MaxSearch. While there are some, the file's others are turned off.
	Search []string
	// Hosts are the container's own names, by address.
	Hosts []Host
	// UserDNS: the user gave --dns, which has the last word. resolv.conf is
	// left alone then; hosts is not.
	UserDNS bool
	// UserSearch: the user gave --dns-search, which stays instead of Search.
	UserSearch bool
}

// A Host is a line of the hosts file.
type Host struct {
	Addr  netip.Addr
	Names []string // the whole name first; at least one
}

// Apply makes the files say what is wanted, and nothing of what an earlier
// Apply wrote and is wanted no more. It writes a file only if it differs, so it
// may be called at every look; if the container writes against it, the last one
// wins until the next look. Each file is served whatever becomes of the other.
//
// A missing file is fs.ErrNotExist: the container is gone, or was never
// started. A file that is no plain file, is larger than 64 KiB, or is held by a
// lease of the container's is an error and stays as it is; so does the file
// that a value would not fit into safely.
func Apply(files Files, w Wanted) (changed bool, err error) {
	var errs []error
	serve := func(path string, check error, edit func(string) string) {
		if path == "" {
			return
		}
		if check != nil {
			errs = append(errs, fmt.Errorf("write %s: %w", path, check))
			return
		}
		did, err := rewrite(path, edit)
		changed = changed || did
		errs = append(errs, err)
	}
	if !w.UserDNS {
		serve(files.ResolvConf, w.checkResolvConf(), w.resolvConf)
	}
	serve(files.Hosts, checkHosts(w.Hosts), w.hosts)
	return changed, errors.Join(errs...)
}

// Remove takes out what Apply wrote, and turns on again what it turned off. It
// may be called twice; a missing file is no error.
func Remove(files Files) error {
	var errs []error
	for _, path := range []string{files.ResolvConf, files.Hosts} {
		if path == "" {
			continue
		}
		if _, err := rewrite(path, strip); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
