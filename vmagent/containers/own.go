//go:build linux

package containers

import "path/filepath"

// ownFile returns path if it is the file name in the container's directory
// under Docker's data root, and else "". With -v FILE:/etc/hosts the engine
// gives FILE as the container's HostsPath, which may well be the machine's
// /etc/hosts; with --network container:X it gives X's.
func ownFile(path, id, name string) string {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path ||
		filepath.Base(path) != name || filepath.Base(filepath.Dir(path)) != id {
		return ""
	}
	return path
}
