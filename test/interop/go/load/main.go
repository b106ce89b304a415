// Command load prints the median of the milliseconds that go-tuf needs to parse a targets file and verify its one
// signature.
//
// usage: load FILE PUBLIC_KEY_HEX RUNS
package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

func measure(file, keyHex, runs string) (float64, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	public, err := hex.DecodeString(keyHex)
	if err != nil {
		return 0, err
	}
	count, err := strconv.Atoi(runs)
	if err != nil {
		return 0, err
	}
	key, err := metadata.KeyFromPublicKey(ed25519.PublicKey(public))
	if err != nil {
		return 0, err
	}
	root := metadata.Root(time.Now().Add(time.Hour))
	if err := root.Signed.AddKey(key, metadata.TARGETS); err != nil {
		return 0, err
	}
	var times []float64
	for range count {
		start := time.Now()
		targets, err := metadata.Targets().FromBytes(data)
		if err != nil {
			return 0, err
		}
		if err := root.VerifyDelegate(metadata.TARGETS, targets); err != nil {
			return 0, err
		}
		times = append(times, float64(time.Since(start).Microseconds())/1000)
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: load FILE PUBLIC_KEY_HEX RUNS")
		os.Exit(2)
	}
	median, err := measure(os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(median)
}
