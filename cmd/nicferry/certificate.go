package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/nic"
)

// certificateCommand is "nicferry certificate".
func certificateCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "certificate",
		Short:   "Let people in from other machines",
		Example: "  nicferry certificate create alice --role viewer --out ~/.nicferry",
		Args:    noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand((&certificateCreate{app: a}).command())
	return cmd
}

// certificateCreate is "nicferry certificate create".
type certificateCreate struct {
	*app
	role, dir, format string
	ttl               time.Duration
}

// written is what the command has made, for programs.
type written struct {
	Name    string    `json:"name"`
	Role    string    `json:"role"`
	Expires time.Time `json:"expires"`
	CA      string    `json:"ca"`
	Cert    string    `json:"cert"`
	Key     string    `json:"key"`
}

func (c *certificateCreate) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create NAME --role ROLE",
		Short: "Make a person's certificate, for nicferry on other machines",
		Long: `Make a person's certificate, for nicferry on other machines. The key is made
here and goes nowhere else: NAME.key, which only you may read. NAME.pem is the
certificate, and ca.pem what the controller is known by. No file is replaced.

A viewer may look at everything, an admin may do everything. A certificate cannot
be taken back before its time is over: keep that short.`,
		Example: `  nicferry certificate create alice --role viewer
  nicferry certificate create ci --role admin --ttl 24h --out /etc/nicferry/ci`,
		Args: oneName("the name of one person or program"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&c.role, "role", "", "viewer or admin; required")
	cmd.Flags().DurationVar(&c.ttl, "ttl", 720*time.Hour, "how long it is good, at most 2160h (90 days)")
	cmd.Flags().StringVar(&c.dir, "out", ".", "the `directory` for the files")
	cmd.Flags().StringVarP(&c.format, "output", "o", "text", "the `format`: text, json, yaml")
	return cmd
}

func (c *certificateCreate) run(ctx context.Context, name string) error {
	if err := checkFormat(c.format, "text"); err != nil {
		return err
	}
	if err := nic.CheckName("user", name); err != nil {
		return usagef("%s", err)
	}
	if c.role != string(mtls.Viewer) && c.role != string(mtls.Admin) {
		return usagef("--role %q: want viewer or admin", c.role)
	}
	made := written{Name: name, Role: c.role, CA: filepath.Join(c.dir, "ca.pem"), Cert: filepath.Join(c.dir, name+".pem"), Key: filepath.Join(c.dir, name+".key")}
	for _, path := range []string{made.Cert, made.Key} {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is there already and is not replaced; take it away, or name another --out", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look for %s: %w", path, err)
		}
	}
	key, err := mtls.NewKey()
	if err != nil {
		return err
	}
	csr, err := mtls.Request(key)
	if err != nil {
		return err
	}
	var issued api.Issued
	err = c.call(ctx, func(ctx context.Context, cl *client.Client) (err error) {
		issued, err = cl.CreateCertificate(ctx, api.CertificateRequest{Name: name, Role: c.role, TTL: nic.Duration(c.ttl), CSR: string(csr)})
		return err
	})
	if err != nil {
		return asFlags(err, map[string]string{"body.name": "NAME", "body.role": "--role", "body.ttl": "--ttl"})
	}
	made.Expires = issued.Expires
	if err := made.write(key, issued); err != nil {
		return err
	}
	return c.print(made)
}

// write keeps what was made; the key first, and for its owner alone.
func (w written) write(key []byte, issued api.Issued) error {
	if err := os.MkdirAll(filepath.Dir(w.Key), 0o700); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	if there, err := os.ReadFile(w.CA); err == nil && string(there) != issued.CA {
		return fmt.Errorf("%s is another controller's and is not replaced; name another --out", w.CA)
	} else if err != nil {
		if err := create(w.CA, []byte(issued.CA), 0o644); err != nil {
			return err
		}
	}
	if err := create(w.Key, key, 0o600); err != nil {
		return err
	}
	return create(w.Cert, []byte(issued.Certificate), 0o644)
}

// create makes a file that is not there yet.
func create(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func (c *certificateCreate) print(made written) error {
	if c.format != "text" {
		return encode(c.out, c.format, made)
	}
	fmt.Fprintf(c.err, "good until %s; to use it: nicferry --controller https://HOST:PORT --ca %s --cert %s --key %s\n",
		made.Expires.UTC().Format(time.RFC3339), made.CA, made.Cert, made.Key)
	_, err := fmt.Fprintf(c.out, "%s\n%s\n%s\n", made.CA, made.Cert, made.Key)
	return err
}
