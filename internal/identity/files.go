package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// checkDir refuses a directory that others than its owner, who must be us, can
// look into.
func checkDir(dir string) error {
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return fmt.Errorf("open identity: %w", err)
	case !info.IsDir():
		return fmt.Errorf("open identity: %s is not a directory", dir)
	case !ours(info):
		return fmt.Errorf("open identity: %s is another user's; chown it to the user that the agent runs as", dir)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("open identity: %s is open to other users (mode %04o); chmod 700 it", dir, info.Mode().Perm())
	}
	return nil
}

// checkFile refuses a key that others than its owner, who must be us, can read.
func checkFile(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read identity: %w; %s", err, again)
	case err != nil:
		return fmt.Errorf("read identity: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("read identity: %s is not a file; %s", path, again)
	case !ours(info):
		return fmt.Errorf("read identity: %s is another user's; chown it to the user that the agent runs as", path)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("read identity: %s is open to other users (mode %04o); chmod 600 it, and join again if others may have read it", path, info.Mode().Perm())
	}
	return nil
}

func ours(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// certificate reads the pair, which must belong together.
func (i *Identity) certificate() (*x509.Certificate, error) {
	files := i.Files()
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, fmt.Errorf("read identity: use %s with %s: %w; %s", files.Cert, files.Key, err, again)
	}
	return pair.Leaf, nil
}

// lock makes the caller the only writer of the directory until the result is
// called: a join and the agent's renewal may come at the same time.
func lock(dir string) (unlock func(), err error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock identity: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock identity: another nicferry-agent is writing in %s; try again when it is done", dir)
		}
		return nil, fmt.Errorf("lock identity: %w", err)
	}
	return func() { _ = f.Close() }, nil
}

// replace puts a file into its place, whole at any time and on the disk when it
// returns.
func replace(path string, data []byte, mode fs.FileMode) (err error) {
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write identity: %w", err)
	}
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode) // whatever the umask
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// syncDir puts on the disk which files there are.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	return nil
}

// remove removes a file, if it is there.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write identity: %w", err)
	}
	return nil
}
