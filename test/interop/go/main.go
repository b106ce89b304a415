// Command reader asks the stock go-tuf client for the state of a repository and for targets in it, and prints
// the answer as JSON. The command line and the answer are those of ../readers.ts.
package main

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"
)

type paths []string

func (p *paths) String() string { return fmt.Sprint(*p) }

func (p *paths) Set(path string) error {
	*p = append(*p, path)
	return nil
}

type target struct {
	Length int64  `json:"length"`
	Sha256 string `json:"sha256"`
}

type answer struct {
	OK        bool               `json:"ok"`
	Root      int64              `json:"root"`
	Timestamp int64              `json:"timestamp"`
	Snapshot  int64              `json:"snapshot"`
	Targets   map[string]*target `json:"targets"`
}

type refusal struct {
	OK    bool   `json:"ok"`
	Error string `json:"error"`
}

type question struct {
	metadataURL, targetsURL, root, dir string
	targets                            paths
}

func read(q question) (*answer, error) {
	root, err := os.ReadFile(q.root)
	if err != nil {
		return nil, err
	}
	settings, err := config.New(q.metadataURL, root)
	if err != nil {
		return nil, err
	}
	settings.LocalMetadataDir = q.dir
	settings.LocalTargetsDir = q.dir
	settings.RemoteTargetsURL = q.targetsURL
	client, err := updater.New(settings)
	if err != nil {
		return nil, err
	}
	if err := client.Refresh(); err != nil {
		return nil, err
	}
	trusted := client.GetTrustedMetadataSet()
	found := &answer{
		OK:        true,
		Root:      trusted.Root.Signed.Version,
		Timestamp: trusted.Timestamp.Signed.Version,
		Snapshot:  trusted.Snapshot.Signed.Version,
		Targets:   make(map[string]*target, len(q.targets)),
	}
	for _, path := range q.targets {
		info, err := client.GetTargetInfo(path)
		// go-tuf answers "not there" with an error that has no type of its own.
		if err != nil && err.Error() == fmt.Sprintf("target %s not found", path) {
			found.Targets[path] = nil
			continue
		}
		if err != nil {
			return nil, err
		}
		found.Targets[path] = &target{Length: info.Length, Sha256: hex.EncodeToString(info.Hashes["sha256"])}
	}
	return found, nil
}

func main() {
	var q question
	flag.StringVar(&q.metadataURL, "metadata-url", "", "where the metadata is")
	flag.StringVar(&q.targetsURL, "targets-url", "", "where the target files are")
	flag.StringVar(&q.root, "root", "", "file with the trusted root")
	flag.StringVar(&q.dir, "dir", "", "folder for the client's state")
	flag.Var(&q.targets, "target", "a target path to look up, may be repeated")
	flag.Parse()

	var output any
	found, err := read(q)
	if err != nil {
		output = refusal{Error: err.Error()}
	} else {
		output = found
	}
	if err := json.NewEncoder(os.Stdout).Encode(output); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
