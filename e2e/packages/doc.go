// Package packages has the test that installs, upgrades and purges the Debian
// packages on a machine that systemd runs. All of it is tests.
package packages
