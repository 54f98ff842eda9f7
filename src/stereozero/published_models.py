"""Published models: what there is and where it comes from.

Checksums and revisions were read on huggingface.co's pages of the files (Git LFS pointers), without downloading them.
What could not be found there is None and is said so below and in docs/reference.md; such a file is verified against the
checksum that the hub itself gave with the download, and by the strict comparison of its keys and shapes when it is
loaded.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelFile:
    """One published file.

    Attributes:
        name: what the pipeline calls the model.
        repository: on huggingface.co; empty for a file that is published elsewhere.
        file: in the repository, or of the address.
        gigabytes: size, for the check of free disk space [1e9 bytes].
        revision: commit it is pinned to, or None where none is known: then the newest.
        sha256: of the file, or its first digits; None where it is not known.
        setting: config key that names a local copy; empty where there is none.
        companions: small files of the repository that are read with it; they are not verified.
        address: folder on the web where a file outside of huggingface.co lies.
        licence: of the weights, where one is known that restricts their use; shown whenever they are fetched.
    """

    name: str
    repository: str
    file: str
    gigabytes: float
    revision: str | None
    sha256: str | None
    setting: str = "generator.checkpoint"
    companions: tuple[str, ...] = ()
    address: str = ""
    licence: str = ""

    @property
    def origin(self) -> str:
        """Where it comes from, for messages."""
        if self.address:
            return f"{self.address}/{self.file} ({self.gigabytes:.3g} GB)"
        revision = f", revision {self.revision}" if self.revision else ""
        return f"{self.file} of huggingface.co/{self.repository} ({self.gigabytes:.3g} GB{revision})"


_NON_COMMERCIAL = "CC BY-NC 4.0: non-commercial use only"
_NAVER = "CC BY-NC-SA 4.0: non-commercial use only"
_STABILITY = "Stability AI's community licence for Stable Video Diffusion: read it before commercial use"

# An official model.ckpt holds everything: UNet, VAE, Resampler, and the text and image halves of open_clip's ViT-H/14
# (keys cond_stage_model.* and embedder.*; see backbones/dynamicrafter/official_keys.py). Nothing else is fetched.
_ALL = (
    ModelFile(
        name="dynamicrafter-256",
        repository="Doubiiu/DynamiCrafter",
        file="model.ckpt",
        gigabytes=10.44,
        revision="1e5a3f46f5b3d52b43fb37699a0e632f89ed57d5",
        sha256="328d23963f1fe5af1324793117dfa80c8f5d3d31a2a7d5a6089a1c8aa72fb2da",
    ),
    ModelFile(
        name="dynamicrafter-512",
        repository="Doubiiu/DynamiCrafter_512",
        file="model.ckpt",
        gigabytes=10.44,
        revision=None,  # only abbreviated commits could be found
        sha256="87b5eb1981ffa96110369dfc358c5a9e90b8ee18b24d711badab4e58baeaba97",  # of two independent copies
    ),
    ModelFile(
        name="dynamicrafter-1024",
        repository="Doubiiu/DynamiCrafter_1024",
        file="model.ckpt",
        gigabytes=10.44,
        revision="78833e79137156e586bc2b898a4bb27f4045de0f",
        sha256="97181be1431cc1c08fe31f8d0385a43c2beb1c7f36d25d2df301636f0c4f20f2",
    ),
    ModelFile(
        name="dynamicrafter-512-interp",
        repository="Doubiiu/DynamiCrafter_512_Interp",
        file="model.ckpt",
        gigabytes=10.44,
        revision="be54aaf61ddab427c4100395308fe31fe87a5734",
        sha256=None,  # not found
    ),
    ModelFile(
        name="clip-openai-vit-b-32",
        repository="timm/vit_base_patch32_clip_224.openai",  # where open_clip takes OpenAI's ViT-B/32 from
        file="open_clip_model.safetensors",
        gigabytes=0.61,
        revision=None,  # not found
        sha256=None,  # not found
        setting="scoring.clip.checkpoint",
    ),
    ModelFile(
        name="mast3r",
        repository="naver/MASt3R_ViTLarge_BaseDecoder_512_catmlpdpt_metric",
        file="model.safetensors",
        gigabytes=2.75,
        revision=None,  # not found
        sha256=None,  # not found
        setting="scoring.met3r.geometry_checkpoint",
        licence=_NAVER,
    ),
    ModelFile(
        name="dust3r",
        repository="naver/DUSt3R_ViTLarge_BaseDecoder_512_dpt",
        file="model.safetensors",
        gigabytes=2.28,
        revision=None,  # not found
        sha256=None,  # not found
        setting="scoring.met3r.geometry_checkpoint",
        licence=_NAVER,
    ),
    # Files that lie elsewhere than on huggingface.co have no revisions. Of their checksums only the first digits of
    # torchvision's are published, in the files' names.
    *(
        ModelFile(
            name=name,
            repository="",
            address="https://download.pytorch.org/models",
            file=f"{stem}-{digits}.pth",
            gigabytes=gigabytes,
            revision=None,
            sha256=digits,
            setting="",
        )
        for name, stem, digits, gigabytes in (
            ("raft", "raft_large_C_T_SKHT_V2", "ff5fadd5", 0.02),
            ("raft-small", "raft_small_C_T_V2", "01064c6d", 0.004),
        )
    ),
    ModelFile(
        name="dino16",
        repository="",
        address="https://dl.fbaipublicfiles.com/dino/dino_deitsmall16_pretrain",
        file="dino_deitsmall16_pretrain.pth",
        gigabytes=0.09,
        revision=None,
        sha256=None,
        setting="scoring.met3r.feature_checkpoint",
    ),
    *(
        ModelFile(
            name=f"dinov2_{size}14{registers}",
            repository="",
            address=f"https://dl.fbaipublicfiles.com/dinov2/dinov2_{size}14",
            file=f"dinov2_{size}14{registers.replace('reg', 'reg4')}_pretrain.pth",
            gigabytes=gigabytes,
            revision=None,
            sha256=None,
            setting="scoring.met3r.feature_checkpoint",
        )
        for size, gigabytes in (("vits", 0.09), ("vitb", 0.35), ("vitl", 1.22))
        for registers in ("", "_reg")
    ),
    *(
        ModelFile(
            name=f"featup-{features}",
            repository="",
            address="https://marhamilresearch4.blob.core.windows.net/feature-upsampling-public/pretrained",
            file=f"{features}_jbu_stack_cocostuff.ckpt",
            gigabytes=0.2,  # not known, less than that
            revision=None,
            sha256=None,
            setting="scoring.met3r.featup_checkpoint",
        )
        for features in ("dino16", "dinov2")
    ),
    ModelFile(
        name="depthcrafter-unet",
        repository="tencent/DepthCrafter",
        file="diffusion_pytorch_model.safetensors",
        gigabytes=3.05,
        revision=None,  # not found
        sha256=None,  # not found
        setting="depths.<name>.unet",
        companions=("config.json",),
        licence="Tencent's licence for DepthCrafter: academic, research and education purposes only",
    ),
    ModelFile(
        name="svd-xt-vae",
        repository="stabilityai/stable-video-diffusion-img2vid-xt",
        file="vae/diffusion_pytorch_model.fp16.safetensors",
        gigabytes=0.2,
        revision=None,  # not found
        sha256=None,  # not found
        setting="depths.<name>.svd",
        companions=("vae/config.json", "scheduler/scheduler_config.json"),
        licence=_STABILITY,
    ),
    ModelFile(
        name="svd-xt-image-encoder",
        repository="stabilityai/stable-video-diffusion-img2vid-xt",
        file="image_encoder/model.fp16.safetensors",
        gigabytes=1.27,
        revision=None,  # not found
        sha256=None,  # not found
        setting="depths.<name>.svd",
        companions=("image_encoder/config.json",),
        licence=_STABILITY,
    ),
    ModelFile(
        name="depth-pro",
        repository="apple/DepthPro-hf",
        file="model.safetensors",
        gigabytes=1.9,
        revision="3a8b51229207764e5215b31f47fac0d1a049d563",
        sha256="9c6811e3165485b9a94a204329860cb333a79877e757eb795a179a4ea34bbcf7",  # read on the main branch
        setting="depths.<name>.folder",
        companions=("config.json",),
        licence="Apple's licence for models of machine learning research: research purposes only",
    ),
    ModelFile(
        name="depth-anything-v1-large",
        repository="LiheYoung/depth-anything-large-hf",
        file="model.safetensors",
        gigabytes=1.34,
        revision="27ccb0920352c0c37b3a96441873c8d37bd52fb6",
        sha256="bc27360a3e6906e5ddd8f618e2dcde11362327361918b8f76793e42e25de31b3",
        setting="depths.<name>.folder",
        companions=("config.json",),
    ),
    *(
        ModelFile(
            name=f"depth-anything-v2-{size}",
            repository=f"depth-anything/Depth-Anything-V2-{size.capitalize()}-hf",
            file="model.safetensors",
            gigabytes=gigabytes,
            revision=None,  # not found
            sha256=None,  # not found
            setting="depths.<name>.folder",
            companions=("config.json",),
            licence="" if size == "small" else _NON_COMMERCIAL,
        )
        for size, gigabytes in (("small", 0.1), ("base", 0.39), ("large", 1.34))
    ),
    ModelFile(
        name="video-depth-anything-vits",
        repository="depth-anything/Video-Depth-Anything-Small",
        file="video_depth_anything_vits.pth",
        gigabytes=0.12,
        revision="a396fdd839642f9bb4d08d54cae9fbf43ca13388",
        sha256="13379300b739e659f076a59d52e9801bd8d38c541a7e71f73bbca4dcfb013609",
        setting="depths.<name>.checkpoint",
    ),
    ModelFile(
        name="video-depth-anything-vitl",
        repository="depth-anything/Video-Depth-Anything-Large",
        file="video_depth_anything_vitl.pth",
        gigabytes=1.54,
        revision="7aafbcb5c6af0bac741aad2b6471894fb4761afa",
        sha256="43df27c6b396042ba34ff7b798ab279f64d204d2e86d7a373968f8fa36d0e6fa",
        setting="depths.<name>.checkpoint",
        licence=_NON_COMMERCIAL,
    ),
)
REGISTRY = {model.name: model for model in _ALL}
"""Name -> published file."""
