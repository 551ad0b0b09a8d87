package conf

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// checkPath wants an absolute path of a file, spelled the one way.
func checkPath(path string) error {
	switch {
	case !filepath.IsAbs(path):
		return fmt.Errorf("%s; want an absolute path", quote(path))
	case path != filepath.Clean(path):
		return fmt.Errorf("%s; did you mean %q?", quote(path), filepath.Clean(path))
	case path == "/", len(path) >= os.Getpagesize(), strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%s is no path to a file of ours", quote(path))
	}
	return nil
}

// maxSocket is what sun_path holds besides its final zero, see unix(7).
const maxSocket = 107

func checkSocket(path string) error {
	if len(path) > maxSocket {
		return fmt.Errorf("%d bytes long; the kernel allows the path of a socket %d", len(path), maxSocket)
	}
	return checkPath(path)
}
