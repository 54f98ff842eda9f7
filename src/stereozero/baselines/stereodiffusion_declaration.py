"""StereoDiffusion's declaration, apart from its code, which takes seconds to import."""

from stereozero.baselines.declaration import Declaration, Published

DECLARATION = Declaration(
    name="stereodiffusion",
    paper="Wang, Frisvad, Jensen, Bigdeli: StereoDiffusion: Training-Free Stereo Image Generation Using Latent "
    "Diffusion Models, CVPR Workshops 2024, arXiv 2403.04965",
    licence="written anew here; the weights of Stable Diffusion are under the CreativeML Open RAIL-M licence",
    limits="single frames, no link in time; works at 512 x 512 unless told otherwise",
    published=Published(
        "table1", "stereodiffusion", "40 clips of DynamiCrafter, frame by frame; its depth and strength are not stated"
    ),
)
