package main

import (
	"log/slog"

	"github.com/nicferry/nicferry/internal/authority"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/store"
)

// trustOptions are those of the controller's own authority, which is there also
// where nobody gets a certificate of it.
func trustOptions(c *conf.Controller, records store.Store, log *slog.Logger) authority.Options {
	opts := authority.Options{Store: records, Log: log, Instances: c.Instances}
	switch {
	case c.Listen == nil:
		opts.Refuse = "this controller serves its socket alone; to let other machines in, give it a listen.address in its config"
	case !c.Listen.OwnAuthority():
		opts.Refuse = "this controller takes the certificates of its operators (listen.clientCA in its config) and makes none; leave listen.cert, key and clientCA out to have it make them"
	default:
		opts.Address, opts.Names, opts.NodeLife = c.Listen.Address, c.Listen.Names, c.Listen.CertificateLife.D()
	}
	return opts
}
